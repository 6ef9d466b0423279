"""The door to training: what is known before a training runs, and that its frames are read once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trajvae import Model, Reading, TrainConfig
from trajvae.errors import OutputError, ReadError, StoppedError
from trajvae.outputs.embed import embed, embed_to
from trajvae.readers.data_set import Chunk, ReadingPass
from trajvae.readers.sources import open_source
from trajvae.store import read_table
from trajvae.training import prepare
from trajvae.training.session import prepare_to_resume
from trajvae.typing import Floats, Int64
from trajvae_cli.main import main

pytestmark = pytest.mark.filterwarnings("ignore:no topology")
QUICK = TrainConfig(epochs=2, hidden=(8,), seed=5)


@pytest.fixture
def file(chain: Floats, tmp_path: Path) -> Path:
    """A trajectory of 400 frames."""
    np.save(tmp_path / "chain.npy", chain)
    return tmp_path / "chain.npy"


@pytest.fixture
def frames_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the frames of each chunk that is read of a file, in order."""
    read, real = list[int](), ReadingPass.chunk

    def counted(self: ReadingPass, block: object, frame: Int64, file: int) -> Chunk:
        read.extend(frame.tolist())
        return real(self, block, frame, file)  # type: ignore[arg-type]

    monkeypatch.setattr(ReadingPass, "chunk", counted)
    return read


def test_what_a_training_will_be_done_on_is_known_before(file: Path) -> None:
    """Atoms, frames and held-out frames are those of the figures after it; nothing is trained yet."""
    prepared = prepare(str(file), QUICK, reading=Reading(step=2, select="index 0:8"), device="cpu")
    described = prepared.describe()
    assert (described.atoms, described.frames, described.streamed) == (9, 200, False)
    assert described.lines() == ["selected: index 0:8 (9 atoms, 200 frames)"]
    figures = Model(*prepared.run()).figures
    assert [figures[name] for name in ("atoms", "frames", "held_out")] == [9, 200, described.held_out]


def test_a_streamed_training_says_so(chain: Floats) -> None:
    """Where the frames take more memory than there may be, a second line says how much that is."""
    described = prepare(np.tile(chain, (30, 1, 1)), QUICK, memory="10MB").describe()
    assert described.streamed and described.memory == 1e7 and described.frames == 12_000
    assert described.lines()[1].endswith("all frames at once would take more than 0.01 GB")


def test_too_few_frames_can_be_described(chain: Floats) -> None:
    """None is held out of frames that cannot be divided; the training refuses them."""
    prepared = prepare(chain[:4].copy(), QUICK, device="cpu")
    assert prepared.describe().held_out == 0
    with pytest.raises(ReadError, match="at least 5 frames, got 4"):
        prepared.run()


def test_a_prepared_training_runs_as_often_as_one_likes(file: Path) -> None:
    """Each run begins with fresh weights, and ends in the same ones; it is the training of `Model.train`."""
    prepared = prepare(str(file), QUICK, device="cpu")
    first, again = prepared.run(), prepared.run()
    np.testing.assert_array_equal(first.record.latent, again.record.latent)
    np.testing.assert_array_equal(first.record.latent, Model.train(str(file), QUICK, device="cpu").record.latent)


def test_a_record_and_its_pipeline_are_made_at_the_end(file: Path, tmp_path: Path) -> None:
    """While a training runs its networks learn; the pipeline that it returns is frozen, and has all figures."""
    learning = list[bool]()
    prepared = prepare(str(file), QUICK, device="cpu")
    parts = prepared.run(regulariser=lambda vae, terms: learning.append(vae.training) or 0.0 * terms.kl.sum())
    assert len(learning) and all(learning)
    assert not parts.pipeline.vae.training and not any(p.requires_grad for p in parts.pipeline.vae.parameters())
    assert {"epochs", "kept_epoch", "seconds", "batch_size", "likelihood", "copies"} <= set(parts.record.figures)
    parts = prepared.run(checkpoint=tmp_path / "model.h5", every=0.0)
    with pytest.raises(OutputError, match="exists"):
        prepared.run(checkpoint=tmp_path / "model.h5")


def test_a_stopped_training_is_described_by_its_checkpoint(file: Path, tmp_path: Path) -> None:
    """The frames that were held out stay so; the rest of the training gives the model of an unbroken one."""
    path, whole = tmp_path / "model.h5", prepare(str(file), QUICK, device="cpu")
    with pytest.raises(StoppedError):
        whole.run(checkpoint=path, asked=lambda: True)
    stopped = prepare_to_resume(path, device="cpu")
    assert stopped.describe() == whole.describe()
    np.testing.assert_array_equal(stopped.run().record.latent, whole.run().record.latent)


@pytest.mark.parametrize("memory", ["2GB", "10MB"])
def test_frames_of_a_training_are_embedded_without_opening_them_again(
    chain: Floats, tmp_path: Path, memory: str
) -> None:
    """To the bit as they are read of the file, in memory or streamed."""
    np.save(tmp_path / "many.npy", np.tile(chain, (30, 1, 1)) + np.arange(12_000, dtype=np.float32)[:, None, None])
    prepared = prepare(str(tmp_path / "many.npy"), QUICK, device="cpu", memory=memory)
    pipeline, record, *_ = prepared.run()
    again = embed(pipeline, open_source(str(tmp_path / "many.npy")), record=record)
    once = embed(pipeline, prepared.frame_source, record=record)
    assert once.figures == again.figures and once.files == again.files
    for name, quantity in again.observables().items():
        np.testing.assert_array_equal(once.observables()[name].value, quantity.value)
    embed_to(tmp_path / "embed.h5", pipeline, prepared.frame_source, command="", seed=0, record=record)
    stored = read_table(tmp_path / "embed.h5", "embedding")["observables"]
    np.testing.assert_array_equal(stored["latent"]["value"], again.latent)


def test_frames_in_memory_are_read_once(file: Path, frames_read: list[int]) -> None:
    """By training and embedding together."""
    prepared = prepare(str(file), QUICK, device="cpu")
    opened = len(frames_read)
    pipeline, record, *_ = prepared.run()
    embed(pipeline, prepared.frame_source, record=record)
    assert len(frames_read) == opened and frames_read[-400:] == list(range(400))


def test_embed_reads_its_trajectory_once(file: Path, frames_read: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line, where it trains the model first: no more frames than the training alone."""
    monkeypatch.chdir(file.parent)
    options = ["--epochs", "1", "--hidden", "8", "--device", "cpu"]
    read = []
    for command in (["train", "-o", "other.h5"], ["embed"]):
        frames_read.clear()
        main.main([*command, file.name, *options], standalone_mode=False)
        read.append(list(frames_read))
    assert read[0] == read[1] and len(read[1]) < 2 * 400
    again = Model.load("model.h5", device="cpu").encode(file.name)
    np.testing.assert_array_equal(read_table(Path("embed.h5"), "embedding")["observables"]["rmsd"]["value"], again.rmsd)
