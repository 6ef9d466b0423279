"""Conformations drawn batch after batch: the same in memory and on disk, whatever the threads, or not at all."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import h5py
import MDAnalysis as mda
import mdtraj
import numpy as np
import pytest
import torch

from trajvae import Model
from trajvae.errors import OptionError, OutputError
from trajvae.outputs.searching.support import Support
from trajvae.store import read_conformations
from trajvae.typing import AnyArray

BATCH = 32
WAYS: dict[str, dict[str, Any]] = {
    "as they come": {},
    "means": {"mean": True},
    "aggregate": {"sampler": "aggregate"},
    "metric": {"sampler": "metric"},
    "projected": {"project": True, "redraws": 1},
    "only valid": {"valid_only": True},
    "with their nearest": {"novelty": True, "redraws": 0},
}


@pytest.fixture
def model(tiny_model: Model, monkeypatch: pytest.MonkeyPatch) -> Model:
    """It works on few conformations at once, as if each were large."""
    monkeypatch.setattr(tiny_model.pipeline.vae.latent, "rows_at_once", BATCH)
    return tiny_model


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Options."""
    return WAYS[request.param]


def test_the_file_holds_what_memory_holds(model: Model, way: dict[str, Any], tmp_path: Path) -> None:
    """Positions, latents, verdicts, observables with units, and figures, over several batches and a part of one."""
    n = 3 * BATCH + 5
    made = model.generate(n, seed=2, **way)
    figures = model.drawing(n, seed=2, **way).save(tmp_path / "new.h5md")
    positions, rows, attributes = read_conformations(tmp_path / "new.h5md")
    assert figures == made.figures and f"Model.generate({n}" in attributes["command"]
    np.testing.assert_allclose(positions, made.positions, atol=1e-5)
    assert np.array_equal(rows.pop("latent"), made.latent) and np.array_equal(rows.pop("valid"), made.valid)
    assert rows.keys() == made.observables.keys()
    for name, quantity in made.observables.items():
        assert np.array_equal(rows[name], quantity.value) and rows[name].dtype == quantity.value.dtype
    made.save(tmp_path / "twin.h5md")
    assert _contents(tmp_path / "new.h5md") == _contents(tmp_path / "twin.h5md")


def _contents(path: Path) -> dict[str, Any]:
    """Every dataset's bytes and attributes, by every name it has."""
    out: dict[str, Any] = {}

    def visit(group: h5py.Group, where: str) -> None:
        for name, item in group.items():
            if isinstance(item, h5py.Group):
                visit(item, f"{where}/{name}")
            elif item.dtype.kind != "O" and name != "checksums":  # the sum of the time of writing is in it
                out[f"{where}/{name}"] = (item[()].tobytes(), {k: str(v) for k, v in item.attrs.items()})

    with h5py.File(path) as file:
        visit(file, "")
    return out


def test_figures_are_those_of_the_whole(model: Model, way: dict[str, Any]) -> None:
    """What is counted batch by batch is what all conformations together give."""
    made = model.generate(101, seed=4, **way)
    record, figures = model.record, made.figures
    reasons = record.validity.reasons(made.positions)
    assert np.array_equal(made.observables["invalid_reason"].value, reasons)
    assert figures["n"] == len(made) == 101 and figures["valid"] == (reasons == 0).sum() == made.valid.sum()
    support = Support.of(model.pipeline, record)
    assert figures["off_data"] == pytest.approx(1.0 - support.inside(made.latent).mean(), abs=1e-12)
    redraws = made.observables["redraws"].value
    if not way.get("valid_only"):
        assert figures["drawn"] == 101 and figures["redrawn"] == (redraws > 0).sum()
    if "novelty" in way:
        assert figures["nearest_rmsd"] == pytest.approx(np.median(made.observables["nearest_rmsd"].value))


def test_batches_are_independent(model: Model) -> None:
    """No two conformations are alike, also under the seeds beside it, and latents are the prior's."""
    made = [model.generate(50 * BATCH, seed=seed, redraws=0, geometry="none").latent for seed in (0, 1, 2)]
    z = np.concatenate(made)
    assert len(np.unique(z[:, 0])) == len(z)
    assert (np.abs(z.mean(axis=0)) < 4 / np.sqrt(len(z))).all()
    assert (np.abs(z.var(axis=0) - 1) < 4 * np.sqrt(2 / len(z))).all()
    first, second = made[0][:BATCH], made[0][BATCH : 2 * BATCH]
    assert abs(np.corrcoef(first[:, 0], second[:, 0])[0, 1]) < 4 / np.sqrt(BATCH)


@pytest.mark.parametrize("sampler", ["prior", "aggregate", "metric"])
def test_fewer_are_the_first_of_many(model: Model, sampler: str) -> None:
    """Whole batches are the same whatever n is; so are they in a second pass over the same drawing."""
    many = model.drawing(4 * BATCH, seed=1, sampler=sampler)
    few = model.generate(2 * BATCH, seed=1, sampler=sampler)
    for _ in range(2):
        whole = many.collect()
        assert np.array_equal(whole.positions[: 2 * BATCH], few.positions)
        assert np.array_equal(whole.latent[: 2 * BATCH], few.latent)
        assert whole.figures["n"] == whole.figures["drawn"] == 4 * BATCH


def test_the_number_of_threads_decides_nothing(model: Model, way: dict[str, Any]) -> None:
    """One thread or three give the same bits and figures, and torch has as many as before."""
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(model.generate(5 * BATCH, seed=3, **way))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(found[0].positions, found[1].positions)
    assert found[0].figures == found[1].figures


def test_pieces_are_small_and_whole(model: Model) -> None:
    """What is iterated over are batches, in order, that fill n exactly; progress is told after each."""
    told: list[tuple[int, int]] = []
    drawing = model.drawing(2 * BATCH + 7, progress=lambda done, of: told.append((done, of)))
    sizes = [len(piece.positions) for piece in drawing]
    assert sizes == [BATCH, BATCH, 7]
    assert told == [(BATCH, 71), (2 * BATCH, 71), (71, 71)]


def test_a_stream_that_breaks_leaves_nothing(model: Model, tmp_path: Path) -> None:
    """Neither file is there after an error half way; files that were to be replaced are as they were."""

    def stop(done: int, of: int) -> None:
        if done > BATCH:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.drawing(5 * BATCH, progress=stop).save(tmp_path / "new.h5md")
    assert list(tmp_path.iterdir()) == []
    model.drawing(3).save(tmp_path / "new.h5md")
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(KeyboardInterrupt):
        model.drawing(5 * BATCH, progress=stop).save(tmp_path / "new.h5md", force=True)
    with pytest.raises(OptionError, match="are wanted"):
        model.drawing(5 * BATCH, valid_only=True, budget=1, redraws=0).save(tmp_path / "new.h5md", force=True)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_more_than_the_disk_holds_is_refused_at_once(model: Model, tmp_path: Path) -> None:
    """In one line, before anything is drawn; so are another ending and an existing file."""
    drawing = model.drawing(10**13)
    with pytest.raises(OutputError, match=r"10000000000000 conformations take 1440000\.0 GB, the disk has room"):
        drawing.save(tmp_path / "new.h5md")
    with pytest.raises(OutputError, match=r"\.h5md"):
        drawing.save(tmp_path / "new.h5")
    assert list(tmp_path.iterdir()) == [] and drawing.n_done == 0


def test_both_libraries_open_it(model: Model, tmp_path: Path) -> None:
    """MDAnalysis and mdtraj see every conformation, its time and its observables."""
    made = model.generate(70, seed=5)
    model.drawing(70, seed=5).save(tmp_path / "new.h5md")
    expected: AnyArray = np.concatenate([made.positions, np.zeros((70, 12, 1))], axis=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        universe = mda.Universe(str(tmp_path / "new.pdb"), str(tmp_path / "new.h5md"))
        trajectory = mdtraj.load_hdf5(str(tmp_path / "new.h5md"))
        seen = [(ts.positions.copy(), ts.time, float(ts.data["rg"])) for ts in universe.trajectory]
        universe.trajectory.close()
    np.testing.assert_allclose([x for x, _, _ in seen], expected, atol=1e-4)
    np.testing.assert_allclose(10 * trajectory.xyz, expected, atol=1e-4)
    assert [t for _, t, _ in seen] == trajectory.time.tolist() == list(range(70))
    np.testing.assert_allclose([rg for *_, rg in seen], made.observables["rg"].value)
