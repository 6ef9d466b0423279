"""Latent coordinates of every frame: chunks, files, jumps, and the table they are written to."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from trajvae import Model, Reading, TrainConfig
from trajvae.errors import OutputError, TrajvaeWarning
from trajvae.models.model_file import hash_of
from trajvae.outputs.embed import embed, embed_to
from trajvae.results import Embedding
from trajvae.store import read_model, read_table
from trajvae.typing import Floats

pytestmark = pytest.mark.filterwarnings("ignore:no topology")


@pytest.fixture
def embedding(tiny_model: Model, chain: Floats) -> Embedding:
    """The chain's own frames."""
    return tiny_model.encode(chain.copy())


@pytest.fixture
def two_files(chain: Floats, tmp_path: Path) -> list[Path]:
    """The first 60 frames as two files."""
    paths = [tmp_path / "a.npy", tmp_path / "b.npy"]
    np.save(paths[0], chain[:25])
    np.save(paths[1], chain[25:60])
    return paths


def test_one_row_a_frame(embedding: Embedding) -> None:
    """Shapes, places and figures of 400 frames."""
    assert embedding.latent.shape == embedding.latent_scale.shape == (400, 2)
    assert embedding.rmsd.shape == embedding.frame_jump.shape == embedding.time.shape == (400,)
    assert embedding.frame.tolist() == list(range(400))
    assert not embedding.file.any()
    assert (embedding.latent_scale > 0).all()
    assert embedding.figures["rmsd"] == pytest.approx(embedding.rmsd.mean())
    assert {"frames", "elbo", "rmsd", "pca_rmsd"} <= set(embedding.figures)


def test_it_is_the_posterior_s_mean(tiny_model: Model, embedding: Embedding) -> None:
    """Latents are those the model keeps of its training frames: deterministic, without noise."""
    np.testing.assert_allclose(embedding.latent, tiny_model.record.latent, atol=1e-6)


def test_chunks_do_not_show(tiny_model: Model, chain: Floats, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read in chunks of 7 frames, latents and jumps are those of one chunk."""
    frames = tiny_model.open(chain.astype(np.float64))
    whole = embed(tiny_model.pipeline, frames)
    plain = type(frames).chunks
    monkeypatch.setattr(type(frames), "chunks", lambda self, size=None: plain(self, 7))
    heard: list[tuple[int, int]] = []
    parts = embed(tiny_model.pipeline, frames, lambda *a: heard.append(a))
    np.testing.assert_allclose(parts.latent, whole.latent, atol=1e-10)
    np.testing.assert_allclose(parts.frame_jump, whole.frame_jump, atol=1e-12)
    assert heard[0] == (7, 400)
    assert heard[-1] == (400, 400)


def test_jumps_are_rmsds_of_aligned_neighbours(tiny_model: Model, chain: Floats, embedding: Embedding) -> None:
    """The jump is the RMSD between a frame and the one before, both aligned; the first has none."""
    aligned = tiny_model.pipeline.alignment.apply(chain).astype(float)
    twin = np.sqrt(np.square(np.diff(aligned, axis=0)).sum(axis=-1).mean(axis=-1))
    assert np.isnan(embedding.frame_jump[0])
    np.testing.assert_allclose(embedding.frame_jump[1:], twin, atol=1e-6)


def test_files_are_one_data_set_without_neighbours(
    tiny_model: Model, two_files: list[Path], embedding: Embedding
) -> None:
    """Frames of two files are numbered by file, and no jump leads from one to the other."""
    found = tiny_model.encode(two_files)
    assert found.file.tolist() == [0] * 25 + [1] * 35
    assert found.frame.tolist() == [*range(25), *range(35)]
    assert np.flatnonzero(np.isnan(found.frame_jump)).tolist() == [0, 25]
    np.testing.assert_allclose(found.latent, embedding.latent[:60], atol=1e-6)
    assert [Path(f).name for f in found.files] == ["a.npy", "b.npy"]


def test_a_step_is_kept(tiny_model: Model, chain: Floats, embedding: Embedding) -> None:
    """start, stop and step choose frames and keep their numbers."""
    found = tiny_model.encode(chain.copy(), Reading(start=10, stop=50, step=5))
    assert found.frame.tolist() == list(range(10, 50, 5))
    np.testing.assert_allclose(found.latent, embedding.latent[10:50:5], atol=1e-6)


def test_the_table_holds_it(embedding: Embedding, tmp_path: Path) -> None:
    """Datasets, units and header of the file; a second save is refused and leaves it as it was."""
    path = tmp_path / "embed.h5"
    embedding.save(path)
    with h5py.File(path) as file:
        for name, unit in (("latent", None), ("latent_scale", None), ("rmsd", "Angstrom"), ("frame_jump", "Angstrom")):
            group = file["observables"][name]
            assert set(group) == {"value", "step", "time"}
            assert np.array_equal(group["value"][()], getattr(embedding, name), equal_nan=True)
            assert group["value"].attrs.get("unit") == unit
            assert np.array_equal(group["step"][()], embedding.frame)
        assert np.array_equal(file["trajvae/frame"][()], embedding.frame)
        assert np.array_equal(file["trajvae/file"][()], embedding.file)
        assert file["trajvae"].attrs["kind"] == "embedding"
        assert {"version", "command", "seed", "created"} <= set(file["trajvae"].attrs)
    before = path.read_bytes()
    with pytest.raises(OutputError, match="exists"):
        embedding.save(path)
    assert path.read_bytes() == before


def test_without_rmsd_nothing_is_decoded(
    tiny_model: Model, chain: Floats, embedding: Embedding, tmp_path: Path
) -> None:
    """Latents and jumps are the same, RMSDs are NaN, and figures tell none; the table holds as many rows."""
    bare = tiny_model.encode(chain.copy(), rmsd=False)
    np.testing.assert_array_equal(bare.latent, embedding.latent)
    np.testing.assert_array_equal(bare.latent_scale, embedding.latent_scale)
    np.testing.assert_array_equal(bare.frame_jump, embedding.frame_jump)
    assert np.isnan(bare.rmsd).all()
    assert bare.figures == {"frames": 400}
    bare.save(tmp_path / "bare.h5")
    with h5py.File(tmp_path / "bare.h5") as file:
        assert file["observables/rmsd/value"].shape == (400,)


def test_what_is_written_as_it_comes_is_the_same(
    tiny_model: Model, two_files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In chunks of 7 frames of two files: every array of the file that a whole embedding writes, and its figures."""
    frames = tiny_model.open([str(p) for p in two_files])
    plain = type(frames).chunks
    monkeypatch.setattr(type(frames), "chunks", lambda self, size=None: plain(self, 7))
    whole = embed(tiny_model.pipeline, frames)
    whole.save(tmp_path / "whole.h5")
    figures = embed_to(tmp_path / "parts.h5", tiny_model.pipeline, frames, command="x", seed=0)
    assert figures == pytest.approx(whole.figures)
    ours, theirs = (read_table(tmp_path / f"{name}.h5", "embedding") for name in ("parts", "whole"))
    assert ours["observables"].keys() == theirs["observables"].keys()
    for name, group in theirs["observables"].items():
        for part, values in group.items():
            np.testing.assert_array_equal(ours["observables"][name][part], values)
    for name in ("file", "frame", "files"):
        np.testing.assert_array_equal(ours["trajvae"][name], theirs["trajvae"][name])
    with pytest.raises(OutputError, match=r"parts\.h5.*exists"):
        embed_to(tmp_path / "parts.h5", tiny_model.pipeline, frames, command="x", seed=0)


def test_a_model_writes_an_embedding_as_it_comes(
    tiny_model: Model, two_files: list[Path], embedding: Embedding, tmp_path: Path
) -> None:
    """`Model.encode_to`: the file of `encode(...).save(...)`, its figures with the verdict; nothing is overwritten."""
    source, done = [str(p) for p in two_files], list[tuple[int, int]]()
    whole = tiny_model.encode(source)
    whole.save(tmp_path / "whole.h5")
    figures = tiny_model.encode_to(tmp_path / "parts.h5", source, progress=lambda *now: done.append(now), seed=3)
    assert {name: figures[name] for name in whole.figures} == pytest.approx(whole.figures)
    assert figures["verdict"] and done[-1] == (60, 60)
    ours, theirs = (read_table(tmp_path / f"{name}.h5", "embedding")["observables"] for name in ("parts", "whole"))
    assert ours.keys() == theirs.keys()
    for name, group in theirs.items():
        np.testing.assert_array_equal(ours[name]["value"], group["value"])
    with h5py.File(tmp_path / "parts.h5") as file:
        assert (file["trajvae"].attrs["command"], file["trajvae"].attrs["seed"]) == ("Model.encode_to", 3)
    with pytest.raises(OutputError, match=r"parts\.h5.*exists"):
        tiny_model.encode_to(tmp_path / "parts.h5", source)
    few = tiny_model.encode_to(tmp_path / "parts.h5", source, Reading(stop=10), force=True)
    assert few["frames"] == 10


def test_observables_and_support(tiny_model: Model, chain: Floats, embedding: Embedding, tmp_path: Path) -> None:
    """Those of the training frames are those that the model keeps; a frame far off is out of support."""
    for name, values in tiny_model.record.observables.items():
        np.testing.assert_allclose(embedding.measured[name], values, atol=1e-6)
    assert embedding.in_support is not None and embedding.in_support.mean() > 0.95
    assert embedding.figures["in_support"] == embedding.in_support.mean()
    straight = np.zeros((2, *chain.shape[1:]), dtype=np.float32)
    straight[:, :, 0] = 1.5 * np.arange(chain.shape[1])
    straight[1] = chain[0]
    far = tiny_model.encode(straight)
    assert far.in_support is not None and far.in_support.tolist() == [False, True]
    far.save(tmp_path / "far.h5")
    table = read_table(tmp_path / "far.h5", "embedding")["observables"]
    assert table["in_support"]["value"].tolist() == [0, 1] and {"rg", "end_to_end"} <= set(table)


@pytest.mark.parametrize(
    "config",
    [
        {"backend": "euclidean", "features": "internal"},
        {"backend": "hyperspherical"},
        {"backend": "product", "signature": "h2,s2"},
        {"backend": "rhvae"},
        {"backend": "embedded"},
    ],
    ids=lambda c: str(c["backend"]),
)
def test_a_model_has_one_hash(config: dict[str, Any], chain: Floats, tmp_path: Path) -> None:
    """In memory before and after it was used, in its file, and loaded again; every latent space."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrajvaeWarning)
        model = Model.train(chain[:100].copy(), TrainConfig(epochs=1, hidden=(8,), **config), device="cpu")
        before = hash_of(model.pipeline)
        found = model.encode(chain[:100].copy())
        model.generate(5)
    model.save(tmp_path / "model.h5")
    again = Model.load(tmp_path / "model.h5", "cpu")
    after = [found.applied.model_hash, hash_of(model.pipeline), hash_of(again.pipeline)]
    assert {before, read_model(tmp_path / "model.h5").hash, *after} == {before}
