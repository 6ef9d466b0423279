"""A latent space, a likelihood, a format, a plot and a command of a user's own work wherever ours do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from toroidal import Toroidal

from trajvae import Model, Reading, TrainConfig, plots
from trajvae.choices import LATENTS, LIKELIHOODS, Choice
from trajvae.config import choices_of, help_of
from trajvae.errors import OptionError, TrajvaeError
from trajvae.features import FEATURES
from trajvae.latents import Euclidean, LatentSample
from trajvae.likelihoods import Basis, Likelihood
from trajvae.molecule.observables import angle
from trajvae.outputs.optimize import Search
from trajvae.readers.formats import FORMATS, Format
from trajvae.readers.frame_file import ArrayFrames
from trajvae.testing import check_features, check_latent, check_likelihood, check_objective
from trajvae.typing import Floats

SEARCH = Search(starts=4, steps=5, noise=4, draws=16, keep=3)
pytestmark = pytest.mark.filterwarnings("ignore:no topology")
LATENTS.pop("toroidal")  # which its module has entered: here fixtures do
LIKELIHOOD = '''
import math
import torch
from trajvae.choices import LIKELIHOODS, LikelihoodChoice
from trajvae.likelihoods import Likelihood

class Diagonal(Likelihood):
    """N(loc, diag(variance))."""

    def __init__(self, basis, floor, n_frames):
        super().__init__(basis.size, floor, n_frames, {"loc": basis.input_size})
        self.register_buffer("variance", torch.ones(basis.size, dtype=torch.float64))

    def log_prob(self, targets, params):
        v = self.variance.to(targets)
        return -0.5 * ((targets - params["loc"]).square() / v + (2.0 * math.pi * v).log()).sum(dim=-1)

    def draw(self, params, noise):
        return params["loc"] + self.variance.sqrt().to(noise) * noise

    def moment(self, residual):
        return residual.double().square().mean(dim=0)

    def misfit(self, residual):
        return (self.moment(residual) / self.variance).mean()

    def set_moment(self, moment, structure=1.0):
        self.variance = (structure * moment + (1.0 - structure) * moment.mean()).clamp(min=self.floor**2)

LIKELIHOODS["diagonal"] = LikelihoodChoice("a variance of each target", Diagonal)
'''
OWN: dict[str, type[Likelihood]] = {}
exec(LIKELIHOOD, OWN)
DIAGONAL = LIKELIHOODS.pop("diagonal")


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both in the tables."""
    monkeypatch.setitem(LATENTS, "toroidal", Choice("circles side by side", Toroidal))
    monkeypatch.setitem(LIKELIHOODS, "diagonal", DIAGONAL)


def test_they_pass_our_checks() -> None:
    """The checks that our own pass."""
    check_latent(lambda: Toroidal(2))
    check_likelihood(OWN["Diagonal"])
    check_objective(lambda x: angle(x, 0, 2, 4))
    check_features(FEATURES["cartesian"])


class Unnormalised(Euclidean):
    """A posterior whose density is half of what it should be."""

    def rsample(self, params, context):  # type: ignore[no-untyped-def]
        z, ratio = super().rsample(params, context)
        return LatentSample(z, ratio - 0.7 / self.dim)


class Shifted(OWN["Diagonal"]):  # type: ignore[misc]
    """Draws about another mean than the density's."""

    def draw(self, params: dict[str, Tensor], noise: Tensor) -> Tensor:
        return super().draw(params, noise) + 0.3


class Forgetful(OWN["Diagonal"]):  # type: ignore[misc]
    """A likelihood whose variance is no part of its state."""

    def __init__(self, basis: Basis, floor: float, n_frames: int) -> None:
        super().__init__(basis, floor, n_frames)
        self.register_buffer("variance", self.variance, persistent=False)


def by_arc_cosine(x: Tensor) -> Tensor:
    """An angle whose slope is infinite where atoms are in line."""
    a, b = x[:, 0] - x[:, 1], x[:, 2] - x[:, 1]
    return torch.acos((a * b).sum(dim=-1) / (a.norm(dim=-1) * b.norm(dim=-1)))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: check_latent(lambda: Unnormalised(2)), "log q - log p"),
        (lambda: check_likelihood(Shifted), "normal|mean|density"),
        (lambda: check_likelihood(Forgetful), "state"),
        (lambda: check_objective(lambda x: x.sum()), "one value a frame"),
        (lambda: check_objective(by_arc_cosine), "in line"),
    ],
)
def test_checks_find_what_is_wrong(wrong, message: str) -> None:  # type: ignore[no-untyped-def]
    """Each says what it is."""
    with pytest.raises(AssertionError, match=message):
        wrong()


@pytest.mark.parametrize(("latent", "likelihood"), [("toroidal", None), ("euclidean", "diagonal")])
def test_models_of_them_do_everything(
    chain: Floats, tmp_path: Path, added: None, latent: str, likelihood: str | None
) -> None:
    """Train, save, load, encode, draw, follow, search, plot."""
    config = TrainConfig(backend=latent, likelihood=likelihood, epochs=3, hidden=(16,))
    made = Model.train(chain.copy(), config, device="cpu")
    made.save(tmp_path / "model.h5")
    model = Model.load(tmp_path / "model.h5")
    assert np.array_equal(model.encode(chain[:9].copy()).latent, made.encode(chain[:9].copy()).latent)
    assert np.isfinite(model.generate(5).positions).all()
    assert model.path(0, 97, frames=5, metric="flat").figures["length"] > 0.0
    model.optimize("rg", search=SEARCH).save(tmp_path / "o.h5md")
    assert plots.draw(plots.panels_of(plots.read(tmp_path / "model.h5"))).axes
    assert plots.draw(plots.panels_of(plots.read(tmp_path / "o.h5md"))).axes


def test_a_model_whose_latent_space_is_gone_says_so(chain: Floats, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """Where the module that adds it was not imported, the error names it and those that there are."""
    with monkeypatch.context() as patched:
        patched.setitem(LATENTS, "toroidal", Choice("circles", Toroidal))
        config = TrainConfig(backend="toroidal", epochs=1, hidden=(8,))
        Model.train(chain.copy(), config, device="cpu").save(tmp_path / "model.h5")
    with pytest.raises(TrajvaeError, match="no backend 'toroidal'"):
        Model.load(tmp_path / "model.h5")


def test_models_written_before_load(tiny_model: Model, chain: Floats, tmp_path: Path, added: None) -> None:
    """The tables have grown meanwhile."""
    tiny_model.save(tmp_path / "model.h5")
    again = Model.load(tmp_path / "model.h5")
    assert np.array_equal(again.encode(chain[:9].copy()).latent, tiny_model.encode(chain[:9].copy()).latent)


def test_help_and_errors_name_them(added: None) -> None:
    """From the tables, at the time they are asked."""
    options = TrainConfig.__dataclass_fields__
    assert "embedded or toroidal" in help_of(options["backend"])
    assert "diagonal" in choices_of(options["likelihood"]) and "diagonal" in help_of(options["likelihood"])
    from trajvae.latents import make_latent

    with pytest.raises(OptionError, match="embedded, toroidal"):
        make_latent("torus", 2, {})


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A format of text: a frame a line."""

    def opened(path: Path) -> ArrayFrames:
        numbers = np.loadtxt(path, dtype=np.float32)
        return ArrayFrames(str(path), numbers.reshape(len(numbers), -1, 2))

    FORMATS.append(Format("TABLE", (".table",), "trajvae", bare=True, opener=opened))
    yield
    FORMATS.pop()


def test_a_format_is_read(tiny_model: Model, chain: Floats, tmp_path: Path, table: None) -> None:
    """By its suffix, and by its name where the suffix is another."""
    np.savetxt(tmp_path / "a.table", chain[:20].reshape(20, -1))
    np.savetxt(tmp_path / "a.txt", chain[:20].reshape(20, -1))
    twin = tiny_model.encode(chain[:20].copy()).latent
    np.testing.assert_allclose(tiny_model.encode(tmp_path / "a.table").latent, twin, atol=1e-5)
    named = tiny_model.encode(tmp_path / "a.txt", Reading(format="table")).latent
    np.testing.assert_allclose(named, twin, atol=1e-5)


def test_a_panel_is_drawn_where_it_suits(
    tiny_model: Model, chain: Floats, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of files with latent points, and of no other."""

    def spread(held):  # type: ignore[no-untyped-def]
        return (lambda ax: ax) if getattr(held, "latent", None) is not None else None

    monkeypatch.setitem(plots.PANELS, "spread", spread)
    tiny_model.encode(chain[:50].copy()).save(tmp_path / "embed.h5")
    tiny_model.marginals().save(tmp_path / "marginals.h5")
    names = [
        [name for name, _ in plots.panels_of(plots.read(tmp_path / f"{kind}.h5"))] for kind in ("embed", "marginals")
    ]
    assert names[0][-1] == "spread" and "spread" not in names[1]


def test_the_command_line_takes_them(chain: Floats, tmp_path: Path) -> None:
    """Names in help, training, info, and a command of its own, where a program imports the additions first."""
    np.save(tmp_path / "traj.npy", chain)
    (tmp_path / "toroidal.py").write_text((Path(__file__).with_name("toroidal.py")).read_text())
    (tmp_path / "own.py").write_text(
        "import toroidal, click\n"
        f"{LIKELIHOOD}\n"
        "from trajvae.choices import Choice\n"
        "from trajvae_cli.main import COMMANDS\n"
        "@click.command()\n"
        "def hello():\n"
        "    'Say hello.'\n"
        "    click.echo('hello')\n"
        "COMMANDS['hello'] = Choice('Say hello.', hello)\n"
    )
    program = [sys.executable, "-c", "import own; from trajvae_cli import main; main()"]

    def run(line: str) -> str:
        done = subprocess.run([*program, *line.split()], cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "hello Say hello." in " ".join(run("--help").split()) and run("hello") == "hello\n"
    text = " ".join(run("train --help").split())
    assert "embedded or toroidal" in text and "conditional|diagonal]" in text
    found = json.loads(
        run("train traj.npy --backend toroidal --likelihood diagonal --set min_scale=0.01 --epochs 2 --hidden 8 --json")
    )
    assert found["backend"] == "toroidal"
    assert "min_scale (float, radian) = 0.001" in run("info --options toroidal")
    run("plot model.h5 --only latent -o latent.svg")
    assert json.loads(run("generate -n 5 --json"))["n"] == 5
