"""`kinetics.h5` is read as it was written, and is laid out as the contract says."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from trajvae.errors import OutputError, ReadError
from trajvae.figures import KineticsFigures
from trajvae.frame_weights import WeightSource
from trajvae.results import ChapmanKolmogorov, Kinetics, MarkovModel, TimeScales, VampScore, load
from trajvae.store import describe_file


@pytest.fixture
def found() -> Kinetics:
    """Of six frames in three states, one of which is not connected."""
    scales = TimeScales(
        np.array([4.0, 8.0]), np.array([[20.0, 5.0], [24.0, np.nan]]), np.array([[2.0, 1], [3, np.nan]])
    )
    transition = np.array([[0.75, 0.25], [0.5, 0.5]])
    return Kinetics(
        scores=(VampScore("latent", 1.75, 0.125), VampScore("tica", 2.0, 0.25), VampScore("pca", 1.25, 0.0625)),
        timescales={"markov": scales, "latent": scales},
        markov=MarkovModel(
            transition, np.array([2.0, 1.0]) / 3.0, np.array([0, 1, 0, -1, 0, 1]), np.array([[0.0], [1.0]]), 2, 8.0
        ),
        test=ChapmanKolmogorov(
            sets=np.array([0, 1]),
            population=np.array([2.0, 1.0]) / 3.0,
            lag=np.array([16.0]),
            predicted=np.array([[0.6875, 0.375]]),
            estimated=np.array([[0.75, 0.375]]),
            error=np.array([[0.03125, 0.0]]),
        ),
        processes=1,
        noise=0.125,
        latent=np.arange(6.0)[:, None],
        geometry="e1",
        file=np.array([0, 0, 0, 1, 1, 1]),
        frame=np.array([0, 1, 2, 0, 1, 2]),
        time=np.array([0.0, 4.0, 8.0, 0.0, 4.0, 8.0]),
        files=["a.xtc", "b.xtc"],
        weights=WeightSource("w.npy", "", 4.5),
        seed=3,
        command="trajvae kinetics",
    )


def test_it_is_read_as_it_was_written(found: Kinetics, tmp_path: Path) -> None:
    """Every array, name and figure; `load` and `info` know the kind."""
    path = tmp_path / "kinetics.h5"
    found.save(path)
    read = Kinetics.load(path)
    assert (
        isinstance(load(path), Kinetics) and repr(read) == repr(found) and describe_file(path).header.kind == "kinetics"
    )
    assert read.scores == found.scores and read.weights == found.weights and read.files == found.files
    for name in ("latent", "file", "frame", "time", "geometry", "lag_unit", "processes", "noise", "seed", "command"):
        assert np.array_equal(getattr(read, name), getattr(found, name)), name
    for mine, other in ((read.markov, found.markov), (read.test, found.test),
                        *((read.timescales[k], found.timescales[k]) for k in found.timescales)):  # fmt: skip
        for field in fields(mine):
            np.testing.assert_array_equal(getattr(mine, field.name), getattr(other, field.name))
    with pytest.raises(OutputError, match="exists"):
        found.save(path)
    found.save(path, force=True)


def test_the_layout_is_the_contract_s(found: Kinetics, tmp_path: Path) -> None:
    """Names, units, and attributes."""
    found.save(tmp_path / "kinetics.h5")
    with h5py.File(tmp_path / "kinetics.h5") as file:
        assert file["scores/name"].asstr()[:].tolist() == ["latent", "tica", "pca"]
        assert file["scores/vamp2"][:].tolist() == [1.75, 2.0, 1.25] and file["scores/error"].shape == (3,)
        for name in ("lag", "value", "error"):
            assert file[f"timescales/markov/{name}"].attrs["unit"] == "ps"
        assert (file["trajvae"].attrs["lag"], file["trajvae"].attrs["states"]) == (8.0, 2)
        assert file["observables/state/value"][:].tolist() == [0, 1, 0, -1, 0, 1]
        assert file["observables/state/step"][:].tolist() == [0, 1, 2, 0, 1, 2]


def test_figures_and_display(found: Kinetics) -> None:
    """Figures are read back from their JSON; what is displayed says the scores."""
    said = json.loads(json.dumps(found.figures.to_json()))
    assert said["vamp2"] == {"latent": 1.75, "tica": 2.0, "pca": 1.25} and said["processes"] == 1
    assert said["timescales"]["latent"]["value"][0] == [20.0, 5.0] and said["deviation"] == 2.0
    assert said["connected"] == pytest.approx(5 / 6) and said["states"] == 2 and said["lag"] == 8.0
    again = KineticsFigures.from_json(said).to_json()
    assert json.dumps(again) == json.dumps(said)
    assert "6 frames at a lag of 8 ps: VAMP-2 latent 1.75 ± 0.12, tica 2.00 ± 0.25" in repr(found)
    assert "1 slow process of 2 states" in repr(found) and "<table>" in found._repr_html_()
    alone = replace(found, markov=replace(found.markov, lag=1.0), lag_unit="frame", processes=2)
    assert "at a lag of 1 frame:" in repr(alone) and "2 slow processes" in repr(alone)
    table = found.to_dataframe()
    assert len(table) == 8 and table["value"][0] == 20.0 and table["of"].tolist() == ["markov"] * 4 + ["latent"] * 4


def test_kinetics_of_an_array_have_no_files(found: Kinetics, tmp_path: Path) -> None:
    """And no weights."""
    plain = replace(found, files=[], weights=None)
    plain.save(tmp_path / "kinetics.h5")
    read = Kinetics.load(tmp_path / "kinetics.h5")
    assert read.files == [] and read.weights is None


def test_damage_is_one_line(found: Kinetics, tmp_path: Path) -> None:
    """A file that lacks what its kind must hold."""
    cut = tmp_path / "cut.h5"
    found.save(cut)
    with h5py.File(cut, "r+") as file:
        del file["markov/transition"]
        del file["trajvae/checksums"]
        del file["trajvae"].attrs["checksum"]
    with pytest.raises(ReadError, match="damaged or incomplete"):
        Kinetics.load(cut)
