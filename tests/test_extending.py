"""Observables and an objective that are added to the tables from outside the package work wherever the others do."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from trajvae import Model, TrainConfig, plots
from trajvae.errors import OptionError, TrajvaeWarning
from trajvae.molecule.observables import OBSERVABLES, Function, Observable, angle
from trajvae.outputs.embed import embed_to
from trajvae.outputs.optimize import Search
from trajvae.outputs.searching.objective_table import OBJECTIVES, ObjectiveKind, Request, objective_help
from trajvae.plots.panels import panels_of
from trajvae.store import read_contents, read_model
from trajvae.store.checksums import NAME
from trajvae.store.crc32 import SEAL
from trajvae.topology import Topology
from trajvae.typing import Floats

SEARCH = Search(starts=4, steps=5, noise=4, draws=16, keep=3)
pytestmark = pytest.mark.filterwarnings("ignore:no topology")


def bend(topology: Topology) -> Observable | None:
    """The angle between the ends and the middle atom; a molecule of two atoms has none."""
    if topology.n_atoms < 3:
        return None
    middle, last = topology.n_atoms // 2, topology.n_atoms - 1
    return Observable("bend", "degree", lambda x: angle(x, 0, middle, last))


def turn(topology: Topology) -> Observable:
    """The direction of the first bond in the plane."""

    def function(x: Tensor) -> Tensor:
        bond = x[:, 1] - x[:, 0]
        return bond[:, 1].atan2(bond[:, 0]).rad2deg()

    return Observable("turn", "degree", function, period=360.0)


def height(request: Request) -> Function:
    """How much higher one atom is than another."""
    i, j = request.atoms(2)
    return lambda x: x[:, i, -1] - x[:, j, -1]


@pytest.fixture
def added() -> Iterator[None]:
    """Two observables and an objective in the tables, taken out at the end."""
    OBSERVABLES.update(bend=bend, turn=turn)
    OBJECTIVES["height"] = ObjectiveKind("of atom i over atom j", "Angstrom", height, "i,j")
    yield
    del OBSERVABLES["bend"], OBSERVABLES["turn"], OBJECTIVES["height"]


def trained(chain: Floats) -> Model:
    """A model of three epochs."""
    return Model.train(chain.copy(), TrainConfig(epochs=3, hidden=(16,)), device="cpu")


@pytest.fixture(scope="module")
def extended(chain: Floats, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a model that was trained with the additions, written before they are taken out."""
    folder = tmp_path_factory.mktemp("extended")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)
        OBSERVABLES.update(bend=bend, turn=turn)
        try:
            model = trained(chain)
            model.save(folder / "model.h5")
            model.encode(chain.copy()).save(folder / "embed.h5")
            embed_to(folder / "streamed.h5", model.pipeline, model.open(chain.copy()), command="", seed=0)
            model.generate(20).save(folder / "generate.h5md")
            model.path(0, 97, frames=5, metric="flat").save(folder / "path.h5md")
            model.marginals().save(folder / "marginals.h5")
            model.optimize("bend", goal=120, search=SEARCH).save(folder / "optimize.h5md")
        finally:
            del OBSERVABLES["bend"], OBSERVABLES["turn"]
    return folder


def test_files_say_the_unit_and_the_period(extended: Path) -> None:
    """Of every kind: where the additions are not in the tables, the file alone can say them."""
    model = Model.load(extended / "model.h5")
    assert {name: q.unit for name, q in model.record.frame_observables.items()} == {
        "rg": "Angstrom", "end_to_end": "Angstrom", "bend": "degree", "turn": "degree",
    }  # fmt: skip
    assert [model.record.frame_observables[name].period for name in ("bend", "turn")] == [0.0, 360.0]
    for name in ("embed.h5", "streamed.h5", "generate.h5md", "path.h5md"):
        held = plots.read(extended / name).columns
        assert (held["bend"].unit, held["turn"].unit, held["rg"].unit) == ("degree", "degree", "Angstrom")
        assert (held["bend"].period, held["turn"].period) == (0.0, 360.0)
    assert plots.read(extended / "marginals.h5").table["bend"].unit == "degree"
    assert plots.read(extended / "optimize.h5md").observables["objective"].unit == "degree"


def test_a_model_with_unknown_observables_is_saved_as_it_was(extended: Path, tmp_path: Path) -> None:
    """Loaded and written where they are not in the tables, they are as before; what is new has the known ones."""
    Model.load(extended / "model.h5").save(tmp_path / "again.h5")
    before, after = (
        read_model(path).groups["training"]["observables"] for path in (extended / "model.h5", tmp_path / "again.h5")
    )
    assert before.keys() == after.keys() == {"rg", "end_to_end", "bend", "turn"}
    for name, quantity in before.items():
        assert np.array_equal(quantity.value, after[name].value)
        assert (quantity.unit, quantity.attributes) == (after[name].unit, after[name].attributes)
    assert "bend" not in Model.load(extended / "model.h5").generate(3).observables


def test_a_model_written_before_loads(tiny_model: Model, chain: Floats, tmp_path: Path, added: None) -> None:
    """It lacks the added observables; all else works, and what is measured anew has them."""
    tiny_model.save(tmp_path / "model.h5")
    old = Model.load(tmp_path / "model.h5")
    assert set(old.record.observables) == {"rg", "end_to_end"}
    assert set(old.encode(chain.copy()).measured) == {"rg", "end_to_end", "bend", "turn"}
    found = old.optimize("bend", goal=120, search=SEARCH).figures
    twin = [float(v) for v in old.encode(old.record.sample).measured["bend"]]
    assert found["best_observed"] == pytest.approx(min(twin, key=lambda v: abs(v - 120)), abs=1e-3)


def test_a_model_without_observables_loads(tiny_model: Model, tmp_path: Path) -> None:
    """A file whose observables are gone opens, and is drawn."""
    import h5py

    tiny_model.save(tmp_path / "model.h5")
    with h5py.File(tmp_path / "model.h5", "a") as file:
        del file["trajvae/training/observables"], file[NAME], file["trajvae"].attrs[SEAL]  # as of an earlier version
    old = Model.load(tmp_path / "model.h5")
    assert old.record.observables == {}
    assert old.optimize("rg", search=SEARCH).figures["unit"] == "Angstrom"
    assert panels_of(plots.read(tmp_path / "model.h5"))


def test_values_are_those_of_the_function(extended: Path, chain: Floats) -> None:
    """Of every frame, in the model and in the embedding."""
    a, b = (chain[:, k].astype(np.float64) - chain[:, 6] for k in (0, 11))
    twin = np.degrees(np.arccos((a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)))
    np.testing.assert_allclose(Model.load(extended / "model.h5").record.observables["bend"], twin, atol=1e-3)
    np.testing.assert_allclose(plots.read(extended / "embed.h5").columns["bend"].value, twin, atol=1e-3)


def test_figures_are_labelled_with_the_unit(extended: Path) -> None:
    """By degrees, not by Å; and angles in cyclic colours."""
    points = plots.read(extended / "embed.h5")
    assert plots.distribution(plots.read(extended / "generate.h5md"), "bend").get_xlabel() == "bend (°)"
    assert plots.optimisation(plots.read(extended / "optimize.h5md")).get_ylabel() == "bend (°)"
    look = plots.FigureOptions(observables=("bend", "turn"))
    drawn = [panel for name, panel in panels_of(points, look) if name == "latent"]
    labels = [axes.get_ylabel() for panel in drawn for axes in panel().figure.axes]
    assert {"bend (°)", "turn (°)"} <= set(labels)


def test_an_added_objective_is_in_help_and_works(tiny_model: Model, tmp_path: Path, added: None) -> None:
    """Followed, saved and drawn with its unit; the help and the message name it."""
    assert "height:i,j (of atom i over atom j, Å)" in objective_help()
    with pytest.raises(OptionError, match="height:i,j"):
        tiny_model.optimize("volume")
    with pytest.raises(OptionError, match="height:0,1"):
        tiny_model.optimize("height:3,3")
    made = tiny_model.optimize("height:0,11", goal="max", search=SEARCH)
    positions = made.positions
    np.testing.assert_allclose(made.observables["objective"].value, positions[:, 0, 1] - positions[:, 11, 1])
    made.save(tmp_path / "o.h5md")
    assert plots.optimisation(plots.read(tmp_path / "o.h5md")).get_ylabel() == "height:0,11 (Å)"


def test_a_periodic_observable_has_no_minimum(tiny_model: Model, added: None) -> None:
    """Its period goes with it into the search."""
    with pytest.raises(OptionError, match="periodic"):
        tiny_model.optimize("turn")
    assert tiny_model.optimize("turn", goal=180, search=SEARCH).figures["period"] == 360.0


@pytest.mark.parametrize("name", ["rmsd", "a/b", "two words", ""])
def test_names_of_columns_are_refused(tiny_model: Model, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An observable that would replace a column of a file, or that no column can be called."""
    monkeypatch.setitem(OBSERVABLES, name, bend)
    with pytest.raises(OptionError, match="an observable cannot be named"):
        tiny_model.generate(1)


def test_an_observable_that_is_not_finite_is_left_out(chain: Floats, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a warning after the training, which is not lost; a molecule without it has none."""
    monkeypatch.setitem(OBSERVABLES, "root", lambda t: Observable("root", "", lambda x: (x[:, 0, 0] - 1e3).sqrt()))
    monkeypatch.setitem(OBSERVABLES, "none", lambda t: None)
    with pytest.warns(TrajvaeWarning, match="does not keep the observable 'root'.*not finite in 400 of 400 frames"):
        model = trained(chain)
    assert set(model.record.observables) == {"rg", "end_to_end"}


def test_the_command_line_takes_them(chain: Floats, tmp_path: Path) -> None:
    """Where a program imports its additions before it; `info` and `plot` say the unit without them."""
    np.save(tmp_path / "traj.npy", chain)
    (tmp_path / "own.py").write_text(
        "from trajvae.molecule.observables import OBSERVABLES, Observable, angle\n"
        "OBSERVABLES['bend'] = lambda t: Observable('bend', 'degree', lambda x: angle(x, 0, 6, 11))\n"
    )
    own = [sys.executable, "-c", "import own; from trajvae_cli import main; main()"]
    plain = [sys.executable, "-m", "trajvae_cli"]

    def run(program: list[str], line: str) -> str:
        done = subprocess.run([*program, *line.split()], cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(own, "train traj.npy --epochs 2 --hidden 8")
    found = json.loads(run(own, "optimize --objective bend --goal 120 --json"))
    assert (found["objective"], found["unit"]) == ("bend", "degree")
    held = json.loads(run(plain, "info model.h5 --json"))["datasets"]
    assert held["/trajvae/training/observables/bend"]["unit"] == "degree"
    run(plain, "plot model.h5 --observable bend --only latent -o bend.svg")
    assert "bend (°)" in (tmp_path / "bend.svg").read_text()
    assert read_contents(tmp_path / "optimize.h5md").unit("observables/objective/value") == "degree"
