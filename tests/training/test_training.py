"""From a source to a model: in memory or streamed, stopped and gone on with, and frames that are not the same."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trajvae import Model, TrainConfig
from trajvae.errors import ModelError, OptionError, OutputError, ReadError, StoppedError, TrajvaeWarning
from trajvae.readers.sources import Reading, open_source
from trajvae.runtime.memory import parse_memory
from trajvae.store import model_status
from trajvae.training.frame_source import open_frame_source
from trajvae.training.unlike_blocks import fingerprints
from trajvae.typing import Floats

pytestmark = pytest.mark.filterwarnings("ignore:no topology")
CONFIG = TrainConfig(epochs=6, hidden=(16,), seed=1)
SMALL = "10MB"  # less than the frames of `many` take


@pytest.fixture(scope="module")
def many(chain: Floats) -> Floats:
    """Enough frames to be streamed: the chain's, four noisy copies of 3000."""
    rng = np.random.default_rng(0)
    x = np.tile(chain, (30, 1, 1))
    return (x + 0.05 * rng.normal(size=x.shape)).astype(np.float32)


@pytest.fixture(scope="module")
def file(many: Floats, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a file."""
    path = tmp_path_factory.mktemp("frames") / "many.npy"
    np.save(path, many)
    return path


def _equal(a: Model, b: Model) -> bool:
    weights, others = a.pipeline.vae.state_dict(), b.pipeline.vae.state_dict()
    same = all(torch.equal(value, others[name]) for name, value in weights.items())
    return same and np.array_equal(a.record.latent, b.record.latent)


def _stop_after(steps: int) -> Any:
    """Asks for a stop once so many steps are done."""
    left = [steps]

    def asked() -> bool:
        left[0] -= 1
        return left[0] <= 0

    return asked


@pytest.mark.parametrize(
    ("text", "wanted"), [("2GB", 2e9), ("500 MiB", 500 * 2**20), ("1.5gb", 1.5e9), (3e7, 3e7), ("20000000", 2e7)]
)
def test_amounts_of_memory(text: str | float, wanted: float) -> None:
    """Decimal and binary units, in any case, or plain bytes."""
    assert parse_memory(text) == wanted


@pytest.mark.parametrize("text", ["", "much", "2 elephants", "-1GB", "1KB", "nan"])
def test_amounts_that_are_none(text: str) -> None:
    """One line that names an amount."""
    with pytest.raises(OptionError, match=r"memory must be .*, got"):
        parse_memory(text)


def test_half_of_the_machine_s_memory_is_the_default() -> None:
    """Without an amount it is a number of bytes that a machine may have."""
    assert 1e8 < parse_memory(None) < 1e14


def test_frames_are_streamed_where_they_do_not_fit(file: Path) -> None:
    """By the amount allowed; a streamed source gives the frames that the other gives, and an even share of them."""
    frames = open_source(str(file))
    whole, streamed = (
        open_frame_source(frames, "cartesian", 1e12),
        open_frame_source(frames, "cartesian", parse_memory(SMALL)),
    )
    assert (whole.streamed, streamed.streamed) == (False, True)
    joined = [np.concatenate([c.positions for c in frame_source.chunks(700)]) for frame_source in (whole, streamed)]
    np.testing.assert_array_equal(*joined)
    index, some = streamed.fitting_frames()
    np.testing.assert_array_equal(some, joined[0][index])
    assert 5 <= len(index) < len(joined[0]) and len(set(np.diff(index))) == 1
    assert (whole.frame == streamed.frame).all() and (whole.file == streamed.file).all()


def test_a_streamed_training_is_as_good(file: Path) -> None:
    """Held-out figures of a training through a file are those of one in memory, but for the order of frames."""
    config = TrainConfig(epochs=4, hidden=(32,))
    whole, streamed = (Model.train(str(file), config, device="cpu", memory=m) for m in ("2GB", SMALL))
    assert streamed.figures["frames"] == whole.figures["frames"] == 12_000
    assert (streamed.record.held_out == whole.record.held_out).all()
    assert streamed.figures["rmsd"] == pytest.approx(whole.figures["rmsd"], rel=0.1)
    assert streamed.figures["pca_rmsd"] == pytest.approx(whole.figures["pca_rmsd"], rel=0.02)
    assert streamed.figures["frame_jump"] == pytest.approx(whole.figures["frame_jump"], rel=0.1)
    assert len(streamed.record.sample) == len(whole.record.sample) == 2000
    np.testing.assert_allclose(streamed.record.observables["rg"], whole.record.observables["rg"], rtol=1e-5)


@pytest.mark.parametrize("memory", ["2GB", SMALL])
def test_a_stopped_training_goes_on(file: Path, tmp_path: Path, memory: str) -> None:
    """Stopped within an epoch and gone on with from its file alone, it ends in the bits of an uninterrupted one."""
    path, config = tmp_path / "model.h5", TrainConfig(epochs=3, hidden=(16,))
    whole = Model.train(str(file), config, device="cpu", memory=memory)
    with pytest.raises(StoppedError, match=r"stopped in epoch 2; .*trajvae train --resume -o .* goes on"):
        Model.train(str(file), config, device="cpu", memory=memory, checkpoint=path, asked=_stop_after(150))
    assert model_status(path) == "training"
    with pytest.raises(StoppedError, match="epoch 3"):
        Model.resume(path, device="cpu", asked=_stop_after(70))
    assert _equal(Model.resume(path, device="cpu"), whole)


@pytest.fixture
def begun(chain: Floats, tmp_path: Path) -> Path:
    """A training of an array that stopped after some steps."""
    path = tmp_path / "begun.h5"
    with pytest.raises(StoppedError):
        Model.train(chain.copy(), CONFIG, device="cpu", checkpoint=path, asked=_stop_after(30))
    return path


def test_a_checkpoint_replaces_nothing_unasked(chain: Floats, tmp_path: Path) -> None:
    """A file that exists is an error before anything is trained, and stays as it was; `force` says otherwise."""
    path = tmp_path / "model.h5"
    path.write_bytes(b"precious")
    with pytest.raises(OutputError, match="exists"):
        Model.train(chain.copy(), CONFIG, device="cpu", checkpoint=path, every=0.0)
    assert path.read_bytes() == b"precious"
    Model.train(chain.copy(), CONFIG, device="cpu", checkpoint=path, every=0.0, force=True)
    assert model_status(path) == "training"


def test_an_unfinished_training_is_no_model(begun: Path) -> None:
    """Loading it says how to go on."""
    with pytest.raises(ModelError, match=r"did not complete: 'trajvae train --resume -o .*' goes on"):
        Model.load(begun)


def test_frames_must_be_the_same(begun: Path, chain: Floats) -> None:
    """One coordinate that differs, fewer frames, or none that can be found, are refused; the same frames go on."""
    other = chain.copy()
    other[7, 3, 1] += 1e-3
    for frames in (other, chain[:-1]):
        with pytest.raises(ReadError, match=r"not the frames that the training of '.*' began with \(400\)"):
            Model.resume(begun, frames.copy(), device="cpu")
    with pytest.raises(ReadError):
        Model.resume(begun, device="cpu")  # an array has no file to be read from
    assert _equal(Model.resume(begun, chain.copy(), device="cpu"), Model.train(chain.copy(), CONFIG, device="cpu"))


def test_frames_must_be_the_same_to_the_last_bit(chain: Floats, tmp_path: Path) -> None:
    """The same numbers in another precision, one last bit of one of them, or the sign of a zero: other results."""
    path, wide = tmp_path / "begun.h5", chain.astype(np.float64)
    wide[3, 1, 0] = 0.0
    with pytest.raises(StoppedError):
        Model.train(wide.copy(), CONFIG, device="cpu", checkpoint=path, asked=_stop_after(30))
    near, negative = wide.copy(), wide.copy()
    near[7, 3, 1] = np.nextafter(near[7, 3, 1], np.inf)
    negative[3, 1, 0] = -0.0
    for frames in (wide.astype(np.float32), near, negative):
        with pytest.raises(ReadError, match="equal to the last bit and in the same precision"):
            Model.resume(path, frames, device="cpu")
    assert _equal(Model.resume(path, wide.copy(), device="cpu"), Model.train(wide.copy(), CONFIG, device="cpu"))


def test_a_training_of_an_older_version_goes_on(begun: Path, chain: Floats, edited) -> None:
    """Its fingerprint saw float32 alone: the same frames are taken, other ones refused."""
    with edited(begun) as file:
        config = json.loads(file["trajvae"].attrs["config"])
        config["mark"] = sha256(fingerprints(chain).data).hexdigest()
        file["trajvae"].attrs["config"] = json.dumps(config)
    other = chain.copy()
    other[7, 3, 1] += 1e-3
    with pytest.raises(ReadError, match="not the frames"):
        Model.resume(begun, other, device="cpu")
    assert _equal(Model.resume(begun, chain.copy(), device="cpu"), Model.train(chain.copy(), CONFIG, device="cpu"))


def test_options_must_be_the_same(begun: Path, chain: Floats) -> None:
    """An option that differs is named; those it began with may be said again."""
    with pytest.raises(OptionError, match=r"was begun with epochs 6, got 7: --force starts anew"):
        Model.resume(begun, chain.copy(), asked_for={"epochs": 7}, device="cpu")
    model = Model.resume(begun, chain.copy(), asked_for={"epochs": 6, "hidden": (16,)}, device="cpu")
    assert model.figures["epochs"] <= 6


def test_random_numbers_go_on_where_they_began(begun: Path, chain: Floats, edited) -> None:
    """A checkpoint of a GPU is not damaged on a machine that chose the CPU: the error says where it goes on."""
    with edited(begun) as file:
        random = file["trajvae/optimiser/random"]
        del random["noise"]
        random["noise"] = np.zeros(16, dtype=np.uint8)
    with pytest.raises(OptionError, match=r"began on cuda, .*: use --device cuda"):
        Model.resume(begun, chain.copy(), device="cpu")


def test_what_is_complete_is_not_gone_on_with(tiny_model: Model, tmp_path: Path) -> None:
    """A complete model's file says so."""
    tiny_model.save(tmp_path / "done.h5")
    with pytest.raises(ModelError, match="is complete: there is nothing to go on with"):
        Model.resume(tmp_path / "done.h5")


def test_checkpoints_come_by_the_clock(chain: Floats, tmp_path: Path) -> None:
    """With no time between them there is one after the first step, and the training is not changed by them."""
    path = tmp_path / "model.h5"
    model = Model.train(chain.copy(), CONFIG, device="cpu", checkpoint=path, every=0.0)
    assert model_status(path) == "training"
    model.save(path, force=True)
    assert model_status(path) == "complete"
    assert _equal(model, Model.train(chain.copy(), CONFIG, device="cpu"))


def test_a_training_goes_on_where_no_checkpoint_can_be_written(chain: Floats, tmp_path: Path) -> None:
    """One warning, the same weights; and when it was asked to stop it says what is lost.

    The folder goes away once the training has begun; one that is not there is an error before it.
    """
    path = tmp_path / "gone" / "model.h5"
    with pytest.raises(OutputError, match="does not exist"):
        Model.train(chain.copy(), CONFIG, device="cpu", checkpoint=path)

    def stop_after(steps: int) -> Callable[[], bool]:
        path.parent.mkdir()
        asked = _stop_after(steps)

        def lost() -> bool:
            if path.parent.exists():
                shutil.rmtree(path.parent)  # with the lock in it
            return asked()

        return lost

    with pytest.warns(TrajvaeWarning, match="no checkpoint: cannot write .*; the training goes on") as caught:
        never = stop_after(10**9)
        model = Model.train(chain.copy(), CONFIG, device="cpu", checkpoint=path, every=0.0, asked=never)
    assert sum("no checkpoint" in str(w.message) for w in caught) == 1
    assert _equal(model, Model.train(chain.copy(), CONFIG, device="cpu"))
    with pytest.raises(StoppedError, match=r"stopped in epoch 1; what was reached is lost: cannot write"):
        Model.train(chain.copy(), CONFIG, device="cpu", checkpoint=path, asked=stop_after(3))


def test_an_earlier_checkpoint_stands_where_the_next_is_refused(begun: Path, chain: Floats) -> None:
    """Asked to stop where its last moment cannot be written, a training says that an earlier one is kept."""
    kept = begun.with_name("kept.h5")

    def asked() -> bool:
        begun.rename(kept)
        begun.mkdir()  # a folder in the file's place
        return True

    with pytest.raises(StoppedError, match=r"holds an earlier checkpoint \(cannot write .*'trajvae train --resume"):
        Model.resume(begun, chain.copy(), device="cpu", asked=asked)
    assert model_status(kept) == "training"


def test_reading_is_kept(file: Path, tmp_path: Path) -> None:
    """Start, stop and step of the first run are those of the next, which is told nothing."""
    path, reading = tmp_path / "model.h5", Reading(start=100, stop=2000, step=3)
    options = {"reading": reading, "device": "cpu"}
    with pytest.raises(StoppedError):
        Model.train(str(file), CONFIG, checkpoint=path, asked=_stop_after(40), **options)
    assert _equal(Model.resume(path, device="cpu"), Model.train(str(file), CONFIG, **options))
