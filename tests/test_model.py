"""`Model`, the facade: save and load to the bit, other molecules, damaged files, and nothing overwritten."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from trajvae import Model, Reading, TrainConfig, TrajvaeError
from trajvae.errors import ModelError, OutputError, ReadError, TrajvaeWarning
from trajvae.typing import Floats

pytestmark = pytest.mark.filterwarnings("ignore:no topology")


@pytest.fixture
def saved(tiny_model: Model, tmp_path: Path) -> Path:
    """The tiny model in a file."""
    path = tmp_path / "model.h5"
    tiny_model.save(path)
    return path


@pytest.fixture(scope="module")
def named_model(examples: Path) -> Model:
    """A model of the chain with its topology: names, masses and bonds."""
    reading = Reading(topology=examples / "chain.pdb", stop=300)
    return Model.train(examples / "chain2d.dcd", TrainConfig(epochs=3, hidden=(16,)), reading=reading, device="cpu")


def test_a_loaded_model_encodes_the_same_bits(tiny_model: Model, saved: Path, chain: Floats) -> None:
    """T6: save, load, encode: every number is bit-identical, also under inference mode."""
    loaded = Model.load(saved, device="cpu")
    before = tiny_model.encode(chain.copy())
    with torch.inference_mode():
        after = loaded.encode(chain.copy())
    for name in ("latent", "latent_scale", "rmsd", "frame_jump"):
        assert np.array_equal(getattr(before, name), getattr(after, name), equal_nan=True)
    assert before.figures == after.figures


def test_encoding_twice_is_the_same_bits(tiny_model: Model, chain: Floats) -> None:
    """T6: two calls agree, whatever torch's own generator."""
    first = tiny_model.encode(chain.copy()).latent
    torch.manual_seed(9)
    assert np.array_equal(first, tiny_model.encode(chain.copy()).latent)


def test_everything_survives_the_file(tiny_model: Model, saved: Path) -> None:
    """Weights, record, topology, validity, config and figures come back as they were."""
    loaded = Model.load(saved, device="cpu")
    mine, theirs = (m.pipeline.vae.state_dict() for m in (tiny_model, loaded))
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[k], theirs[k]) and mine[k].dtype == theirs[k].dtype for k in mine)
    for name in ("latent", "held_out", "file", "frame", "sample", "sample_index"):
        a, b = getattr(tiny_model.record, name), getattr(loaded.record, name)
        assert np.array_equal(a, b)
        assert a.dtype == b.dtype
    for name, column in tiny_model.record.history.items():
        assert np.array_equal(column, loaded.record.history[name])
    for name, value in tiny_model.record.validity.to_arrays().items():
        assert np.array_equal(value, loaded.record.validity.to_arrays()[name])
    for name, value in tiny_model.topology.to_arrays().items():
        assert np.array_equal(value, loaded.topology.to_arrays()[name])
    assert (loaded.config, loaded.figures, loaded.files) == (tiny_model.config, tiny_model.figures, tiny_model.files)
    assert (loaded.selection, loaded.pipeline.sizes) == (tiny_model.selection, tiny_model.pipeline.sizes)


def test_a_loaded_model_generates_and_optimises_the_same(tiny_model: Model, saved: Path) -> None:
    """Draws of a seed do not change by way of a file."""
    loaded = Model.load(saved, device="cpu")
    assert np.array_equal(loaded.generate(20, seed=3).positions, tiny_model.generate(20, seed=3).positions)
    assert loaded.marginals(seed=1).figures == tiny_model.marginals(seed=1).figures


def test_a_saved_model_can_be_saved_again(saved: Path, tmp_path: Path) -> None:
    """Load and save lose nothing: the second file's arrays are the first's."""
    Model.load(saved, device="cpu").save(tmp_path / "again.h5")
    with h5py.File(saved) as a, h5py.File(tmp_path / "again.h5") as b:
        names: list[str] = []
        a.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        assert len(names) > 40
        names.remove("trajvae/checksums")  # one of them is that of the attributes, among which is the time of writing
        assert all(np.array_equal(a[n][()], b[n][()]) for n in names)


def test_decode_has_the_frames_shape(tiny_model: Model) -> None:
    """Latent points (n, 2) to positions (n, 12, 2) in Å."""
    positions = tiny_model.decode(np.zeros((3, 2)))
    assert positions.shape == (3, 12, 2)
    assert 0.0 < np.abs(positions).max() < 20.0


def test_training_on_a_file_keeps_its_topology(named_model: Model) -> None:
    """Names, bonds and files stand in the model, and the constant coordinate is gone."""
    assert named_model.topology.n_atoms == 12
    assert named_model.topology.bonds.shape == (11, 2)
    assert named_model.pipeline.dimension == 2
    assert [Path(f).name for f in named_model.files] == ["chain2d.dcd"]


def test_the_reading_s_selection_is_the_model_s(chain: Floats) -> None:
    """A model trained on a selection applies it to what it is given later."""
    model = Model.train(
        chain.copy(), TrainConfig(epochs=3, hidden=(16,)), reading=Reading(select="index 2:9"), device="cpu"
    )
    assert model.topology.n_atoms == 8
    assert model.encode(chain.copy()).latent.shape == (400, 2)


# --- other molecules


def test_another_number_of_atoms_is_refused(tiny_model: Model, chain: Floats) -> None:
    """The message says how many were wanted and how many came."""
    with pytest.raises(ModelError, match=r"another molecule.*12 atoms.*11") as caught:
        tiny_model.encode(chain[:, :11].copy())
    assert "\n" not in str(caught.value)


def test_another_dimension_is_refused(tiny_model: Model, examples: Path) -> None:
    """A model of the plane takes no molecule in space."""
    with pytest.raises(ModelError, match=r"2 dimensions.*12 in 3"):
        tiny_model.encode(np.load(examples / "chain3d.npz")["positions"][:20])


def test_other_names_are_refused(named_model: Model, examples: Path, tmp_path: Path) -> None:
    """As many atoms with another name: the first that differs is named."""
    other = tmp_path / "other.pdb"
    other.write_text((examples / "chain.pdb").read_text().replace(" B4 ", " Q4 "))
    with pytest.raises(ModelError, match=r"'B4'.*'Q4'"):
        named_model.encode(examples / "chain2d.dcd", Reading(topology=other, stop=10))


# --- damaged files


def _delete(name: str) -> Callable[[h5py.File], None]:
    def act(file: h5py.File) -> None:
        """Remove an object."""
        del file[name]

    return act


def _reshape(name: str) -> Callable[[h5py.File], None]:
    def act(file: h5py.File) -> None:
        """Replace an array by a shorter one."""
        value = file[name][()]
        attributes = dict(file[name].attrs)
        del file[name]
        file[name] = value[:-1]
        file[name].attrs.update(attributes)

    return act


def _attribute(name: str, value: Any) -> Callable[[h5py.File], None]:
    def act(file: h5py.File) -> None:
        """Set an attribute of /trajvae, or remove it."""
        if value is None:
            del file["trajvae"].attrs[name]
        else:
            file["trajvae"].attrs[name] = value

    return act


def _alter_reference(file: h5py.File) -> None:
    file["trajvae/reference"][0, 0] += 1.0


DAMAGE: dict[str, Callable[[h5py.File], None]] = {
    "no weights": _delete("trajvae/weights"),
    "a weight missing": _delete("trajvae/weights/encoder.trunk.0.weight"),
    "a weight of another shape": _reshape("trajvae/weights/encoder.trunk.0.weight"),
    "no reference": _delete("trajvae/reference"),
    "another reference": _alter_reference,
    "no topology": _delete("trajvae/topology"),
    "no training latents": _delete("trajvae/training/latent"),
    "no validity": _delete("trajvae/validity"),
    "no weighting": _delete("trajvae/weighting"),
    "weights of other atoms": _reshape("trajvae/weighting"),
    "not complete": _attribute("status", "training"),
    "no status": _attribute("status", None),
    "no config": _attribute("config", None),
    "a config that is no JSON": _attribute("config", "{"),
    "a config that is no object": _attribute("config", "[]"),
    "a config of nothing": _attribute("config", "{}"),
    "a config of an unknown backend": _attribute(
        "config", json.dumps({**TrainConfig(backend="warped").to_dict(), "sizes": {}, "selection": ""})
    ),
    "another kind": _attribute("kind", "embedding"),
    "a newer schema": _attribute("schema", 999),
    "an older schema": _attribute("schema", 1),
}


def test_an_older_model_says_so(saved: Path, edited) -> None:
    """It is not called damaged, and the way out is named."""
    with edited(saved) as file:
        _attribute("schema", 1)(file)
    with pytest.raises(ReadError, match=r"older trajvae.*train it anew"):
        Model.load(saved)


@pytest.mark.parametrize("act", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_model_is_a_one_line_error(saved: Path, act: Callable[[h5py.File], None], edited) -> None:
    """Whatever is missing or does not fit, loading says so in one line that names the file, without a traceback."""
    with edited(saved) as file:
        act(file)
    with pytest.raises(TrajvaeError) as caught:
        Model.load(saved)
    assert isinstance(caught.value, (ModelError, ReadError))
    assert "\n" not in str(caught.value)
    assert "model.h5" in str(caught.value)


@pytest.mark.parametrize("keep", [0, 100, 0.5])
def test_a_truncated_model_is_a_one_line_error(saved: Path, keep: float) -> None:
    """A file that was cut is unreadable, and says so."""
    data = saved.read_bytes()
    saved.write_bytes(data[: int(keep * len(data)) if keep < 1 else int(keep)])
    with pytest.raises(ReadError, match=r"model\.h5") as caught:
        Model.load(saved)
    assert "\n" not in str(caught.value)


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    """No file, or a folder, is a ReadError with its name."""
    with pytest.raises(ReadError, match=r"nothing\.h5"):
        Model.load(tmp_path / "nothing.h5")
    with pytest.raises(ReadError, match=str(tmp_path)):
        Model.load(tmp_path)


# --- files that exist


def test_nothing_is_overwritten_without_force(tiny_model: Model, saved: Path) -> None:
    """An existing file is an error and keeps its bytes; with force it is replaced."""
    before = saved.read_bytes()
    with pytest.raises(OutputError, match=r"model\.h5.*exists"):
        tiny_model.save(saved)
    assert saved.read_bytes() == before
    saved.write_bytes(b"something else")
    tiny_model.save(saved, force=True)
    assert Model.load(saved, device="cpu").figures == tiny_model.figures
    assert [p.name for p in saved.parent.iterdir()] == ["model.h5"]


def test_a_missing_folder_is_named(tiny_model: Model, tmp_path: Path) -> None:
    """Saving into a folder that does not exist is an OutputError."""
    with pytest.raises(OutputError, match="does not exist"):
        tiny_model.save(tmp_path / "no" / "model.h5")


def test_inputs_of_their_own_are_what_the_encoder_sees(chain):
    """Denoising: noisy inputs, clean targets; nearer to the truth than a model of the noisy frames themselves."""
    noisy = chain + 0.4 * np.random.default_rng(1).normal(size=chain.shape)
    config = TrainConfig(epochs=60, hidden=(64,), likelihood="isotropic")
    models = [Model.train(chain, config, inputs=noisy), Model.train(noisy, config)]
    with pytest.raises(ReadError, match=r"inputs need the frames' shape.*\(400, 12, 2\).*\(399, 12, 2\)"):
        Model.train(chain, config, inputs=noisy[1:])
    away = []
    for model in models:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TrajvaeWarning)  # noisy bonds are unlike those of the clean chain
            decoded = model.decode(model.encode(noisy).latent)
        truth = model.pipeline.alignment.apply(chain)
        away.append(np.sqrt(np.square(decoded - truth).sum(axis=-1).mean()))
    assert away[0] < away[1]


def test_a_regulariser_is_added_to_the_loss(chain):
    """It sees the VAE and the batch's terms, and moves what is learned: here posteriors are drawn to width 1."""
    seen = []

    def regulariser(vae, terms):
        seen.append(len(terms.residual))
        return 100.0 * sum(p.square().sum() for p in vae.encoder.head.parameters())

    config = TrainConfig(epochs=100, hidden=(16,), batch_size=40)
    held, free = Model.train(chain, config, regulariser=regulariser), Model.train(chain, config)
    assert max(seen[:7]) == 40 and len(seen) >= 100 * 7  # and at each look
    widths = [np.log(model.pipeline.encode(chain)[0].scale) for model in (held, free)]
    assert np.abs(widths[0]).mean() < 0.1 * np.abs(widths[1]).mean()
