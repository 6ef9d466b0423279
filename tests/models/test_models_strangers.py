"""Files of strangers: no name that a file holds is imported, and none is opened."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from trajvae import Model, TrainConfig, compare, plots
from trajvae.comparison import candidates
from trajvae.errors import ModelError, OptionError, StoppedError, TrajvaeError
from trajvae.geometry.cube_maps import wasserstein
from trajvae.geometry.cube_maps.map_quality import Quality
from trajvae.latents import embedded
from trajvae.store import describe
from trajvae.training.checkpoints.ownership import is_own, sign_origin
from trajvae.typing import AnyArray

Edited = Callable[[Path], contextlib.AbstractContextManager[h5py.File]]

pytestmark = pytest.mark.filterwarnings("ignore:no topology")
Change = Callable[[str], str]


def _stop() -> bool:
    raise StoppedError("one step is enough")


@pytest.fixture(autouse=True)
def _key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def unfinished(chain: AnyArray, tmp_path: Path) -> Path:
    """A checkpoint of a training of a file, whose folder the test works in."""
    np.save(tmp_path / "traj.npy", chain)
    path, steps = tmp_path / "unfinished.h5", iter(range(1000))
    with pytest.raises(StoppedError):
        config = TrainConfig(epochs=6, hidden=(8,))
        Model.train(
            str(tmp_path / "traj.npy"),
            config,
            device="cpu",
            checkpoint=path,
            asked=lambda: next(steps) > 3,
            bonds="none",
        )
    return path


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The working folder has a module `evil` and a file `opened.npy`; the list says what was done to them."""
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    (folder / "evil.py").write_text("def f(*_):\n    raise SystemExit\n")
    np.save(folder / "opened.npy", np.ones((5, 3, 3)))
    seen: list[str] | None = []

    def note(event: str, details: tuple[Any, ...]) -> None:
        """Remember what was opened of the folder; its module is opened to be imported."""
        if seen is not None and event == "open" and Path(str(details[0])).name in ("opened.npy", "evil.py"):
            seen.append(str(details[0]))

    sys.addaudithook(note)
    yield seen
    seen = None


def _texts(value: Any) -> Iterator[tuple[list[Any], str]]:
    """All texts in what JSON holds, with the keys that lead to each."""
    if isinstance(value, str):
        yield [], value
    for key, item in value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ()):
        for keys, text in _texts(item):
            yield [key, *keys], text


def _changed(value: Any, keys: list[Any], text: str) -> Any:
    """The same with another text at one place."""
    if not keys:
        return text
    out = value.copy()
    out[keys[0]] = _changed(value[keys[0]], keys[1:], text)
    return out


def _fields(file: h5py.File) -> list[Callable[[h5py.File, str], None]]:
    """What puts a text into each place of a file that holds text."""
    out: list[Callable[[h5py.File, str], None]] = []

    def attribute(name: str, key: str, keys: list[Any]) -> Callable[[h5py.File, str], None]:
        def put(other: h5py.File, text: str) -> None:
            held = other[name].attrs[key]
            other[name].attrs[key] = json.dumps(_changed(json.loads(held), keys, text)) if keys else text

        return put

    def visit(name: str, item: Any) -> None:
        for key, held in item.attrs.items():
            if isinstance(held, str):
                found = list(_texts(json.loads(held))) if key in ("config", "summary") else [([], held)]
                out.extend(attribute(name, key, keys) for keys, _ in found)
        if isinstance(item, h5py.Dataset) and h5py.check_string_dtype(item.dtype) and item.size:
            first: Any = 0 if item.shape else ()
            out.append(lambda other, text: other[name].__setitem__(first, text))

    file.visititems(visit)
    return out


def _use(path: Path, x: AnyArray) -> None:
    """All that is done with a model, or with a checkpoint: each may be refused."""
    of_complete: list[Callable[[], Any]] = [
        lambda: describe(path),
        lambda: Model.load(path, device="cpu").encode(x[:5]),
        lambda: plots.panels_of(plots.read(path)),
    ]
    of_unfinished: list[Callable[[], Any]] = [
        lambda: Model.resume(path, device="cpu", asked=_stop),
        lambda: Model.resume(path, x, device="cpu", asked=_stop),
    ]
    with h5py.File(path) as file:
        unfinished = "optimiser" in file["trajvae"]
    for use in of_unfinished if unfinished else of_complete:
        try:
            use()
        except TrajvaeError:
            continue


@pytest.mark.parametrize("which", ["complete", "unfinished"])
def test_names_in_every_text_of_a_model(
    which: str,
    unfinished: Path,
    tiny_model: Model,
    chain: AnyArray,
    tmp_path: Path,
    stranger: list[str],
    edited: Edited,
) -> None:
    """Of a module, and of a file: nothing is imported, and nothing is opened."""
    sound = unfinished
    if which == "complete":
        sound = tmp_path / "complete.h5"
        tiny_model.save(sound)
    with h5py.File(sound) as file:
        fields = _fields(file)
    assert len(fields) > 25
    for put in fields:
        for text in ("evil:f", os.path.abspath("opened.npy")):
            shutil.copy(sound, "model.h5")
            with edited(Path("model.h5")) as file:
                put(file, text)
            _use(Path("model.h5"), chain.copy())
    assert stranger == [] and "evil" not in sys.modules


CURVE = """
import torch

def f(n, generator):
    angle = 2 * torch.pi * torch.rand(n, generator=generator)
    return torch.stack([2 * angle.cos(), angle.sin()], dim=1)
"""


@pytest.fixture
def of_function(chain: AnyArray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint of a training whose latent space is a function's; its map is barely learned."""
    short, quality = wasserstein.Recipe(steps=20, batch=32), Quality(0.0, 1.0, 1.0, 0.0, 0.0, 0.1, 1.0)
    monkeypatch.setattr(embedded, "learn_well", lambda m, seed: (wasserstein.learn(m, seed, short), quality))
    monkeypatch.setattr(embedded.Embedded, "_keep", lambda self, own, made, quality: own.take(made))
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "curve.py").write_text(CURVE)
    path, steps, settings = tmp_path / "of_function.h5", iter(range(1000)), {"manifold": "curve:f", "posterior": "beta"}
    options: dict[str, Any] = {"latent": "embedded", "latent_dim": 1, "settings": settings, "hidden": (8,), "epochs": 9}
    with pytest.raises(StoppedError):
        Model.train(chain.copy(), device="cpu", checkpoint=path, asked=lambda: next(steps) > 3, **options)
    return path


def test_a_function_must_be_given_again(
    of_function: Path, chain: AnyArray, stranger: list[str], edited: Edited
) -> None:
    """A training that draws by a user's function goes on only where that very name is given in the call."""
    again: dict[str, Any] = {"settings": {"manifold": "curve:f"}}
    with pytest.raises(StoppedError):
        Model.resume(of_function, chain.copy(), asked_for=again, device="cpu", asked=_stop)
    for asked in (
        None,
        {},
        {"settings": {}},
        {"settings": {"posterior": "beta"}},
        {"settings": {"manifold": "evil:f"}},
    ):
        with pytest.raises(
            OptionError, match=r"by the function 'curve:f', .* give it again with --set manifold=curve:f"
        ):
            Model.resume(of_function, chain.copy(), asked_for=asked, device="cpu")
    with edited(of_function) as file:
        attributes = file["trajvae"].attrs
        attributes["config"] = attributes["config"].replace("curve:f", "evil:f")
    for asked in (None, again):
        with pytest.raises(OptionError, match="by the function 'evil:f'"):
            Model.resume(of_function, chain.copy(), asked_for=asked, device="cpu")
    with pytest.raises(OptionError, match=r"was begun with settings .*'posterior': 'beta'.*, got"):
        own: dict[str, Any] = {"settings": {"manifold": "evil:f", "posterior": "normal"}}
        Model.resume(of_function, chain.copy(), asked_for=own, device="cpu")
    assert stranger == [] and "evil" not in sys.modules


def test_settings_of_a_file_name_no_function(tiny_model: Model, chain: AnyArray, stranger: list[str]) -> None:
    """A configuration that was loaded trains anew only where its function is given in this call."""
    values = {**tiny_model.config.to_dict(), "backend": "embedded", "settings": {"manifold": "evil:f"}}
    config = TrainConfig.from_dict(values)
    calls: list[Callable[[], Any]] = [
        lambda: Model.train(chain.copy(), config, device="cpu"),
        lambda: Model.train(chain.copy(), config, epochs=1, device="cpu"),
        lambda: compare(chain.copy(), {"a": config}, device="cpu"),
        lambda: candidates(["embedded"], settings=config.settings),
    ]
    for call in calls:
        with pytest.raises(OptionError, match=r"'evil:f' is not imported because a file names it.*give it again"):
            call()
    assert stranger == []
    with pytest.raises(SystemExit):  # the same name in this call: the module is imported, and its function called
        Model.train(chain.copy(), config, settings={"manifold": "evil:f"}, device="cpu")
    assert stranger
    del sys.modules["evil"]


def test_files_of_another_s_checkpoint_must_be_given(unfinished: Path, chain: AnyArray, tmp_path: Path) -> None:
    """One's own checkpoint is resumed by the names that it holds, with the user's key alone; another's is not."""
    with pytest.raises(StoppedError):
        Model.resume(unfinished, device="cpu", asked=_stop)
    shutil.rmtree(tmp_path / "state")
    with pytest.raises(ModelError, match=r"not written by this user.*give TRAJ again"):
        Model.resume(unfinished, device="cpu", asked=_stop)
    with pytest.raises(StoppedError):
        Model.resume(unfinished, tmp_path / "traj.npy", device="cpu", asked=_stop)


def test_topologies_of_another_s_checkpoint_must_be_given(unfinished: Path, chain: AnyArray, edited: Edited) -> None:
    """Of one whose origin was changed, what is not given is named."""
    with edited(unfinished) as file:
        config = json.loads(file["trajvae"].attrs["config"])
        config["origin"]["reading"] |= {"topology": "/etc/passwd", "bonds": "/etc/passwd"}
        file["trajvae"].attrs["config"] = json.dumps(config)
    with pytest.raises(ModelError, match="give -s/--topology and --bonds again"):
        Model.resume(unfinished, chain.copy(), device="cpu")


def test_the_key_is_the_user_s_alone(tmp_path: Path) -> None:
    """A key that others can write or read, or that is a link, makes nothing one's own."""
    origin, key = {"files": ["a"], "memory": 1.5}, tmp_path / "state" / "trajvae" / "key"
    code = sign_origin(origin)
    assert len(code) == 64 and is_own(origin, code) and sign_origin(origin) == code
    assert key.stat().st_mode & 0o777 == 0o600 and [p.name for p in key.parent.iterdir()] == ["key"]
    assert not is_own({**origin, "files": ["b"]}, code) and not is_own(origin, "") and not is_own(origin, None)
    key.chmod(0o644)
    assert not is_own(origin, code)
    key.chmod(0o600)
    key.rename(tmp_path / "elsewhere")
    key.symlink_to(tmp_path / "elsewhere")
    assert not is_own(origin, code) and sign_origin(origin) == ""
