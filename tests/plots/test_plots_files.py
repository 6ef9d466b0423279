"""What is read of files is what was held; files of older versions, with less in them, are drawn too."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trajvae import Model, plots
from trajvae.errors import OutputError, ReadError
from trajvae.results import Conformations, Embedding, Marginals, TrainedModel


def test_points_are_the_embedding_s(made: dict[str, Any], written: Path) -> None:
    """Latents, jumps, times and the geometry."""
    held, found = made["embed.h5"], plots.read(written / "embed.h5")
    assert isinstance(found, Embedding) and found.geometry == held.geometry == "e2"
    for name in ("latent", "tangent", "frame_jump", "file", "time"):
        np.testing.assert_array_equal(getattr(found, name), getattr(held, name))


def test_a_model_s_history_points_and_figures(tiny_model: Model, written: Path) -> None:
    """As the model has them."""
    found = plots.read(written / "model.h5")
    assert isinstance(found, TrainedModel)
    np.testing.assert_array_equal(found.history["held_out_elbo"], tiny_model.record.history["held_out_elbo"])
    np.testing.assert_array_equal(found.latent, tiny_model.record.latent)
    assert found.geometry == "e2" and found.figures["rmsd"] == tiny_model.figures["rmsd"]
    assert plots.read_points(written / "model.h5").latent.shape == (400, 2)


def test_marginals_and_their_baselines(made: dict[str, Any], written: Path) -> None:
    """Histograms and figures of each observable."""
    held, found = made["marginals.h5"], plots.read(written / "marginals.h5")
    assert isinstance(found, Marginals) and set(found.table) == set(held.table)
    mine, theirs = found.table["rg"], held.table["rg"]
    for name in ("edges", "simulation", "model", "second", "pca"):
        np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name))
    assert (mine.jsd, mine.noise_floor, mine.unit) == (theirs.jsd, theirs.noise_floor, "Angstrom")
    assert mine.others["jsd_pca"] == theirs.others["jsd_pca"]
    assert theirs.second is not None and theirs.second.sum() == pytest.approx(1.0)


def test_conformations_with_units(written: Path) -> None:
    """Observables keep their units, an optimisation its way, and points their geometry."""
    found = plots.read(written / "optimize.h5md")
    assert isinstance(found, Conformations) and found.geometry == "e2"
    assert found.descent is not None and found.task == "optimize"
    assert found.observables["objective"].unit == found.descent.expected.unit == "Angstrom"
    assert found.descent.latent.shape == (11, 2) and found.figures["objective"] == "rg"


@pytest.fixture
def older(written: Path, tmp_path: Path, edited) -> Path:
    """Files without what was added for figures."""
    for name in ("embed.h5", "model.h5", "marginals.h5", "path.h5md"):
        shutil.copy(written / name, tmp_path)
    for name in ("embed.h5", "path.h5md"):
        with edited(tmp_path / name) as file:
            del file["observables/latent/value"].attrs["geometry"]
    with edited(tmp_path / "marginals.h5") as file:
        del file["baselines"]
    with edited(tmp_path / "model.h5") as file:
        summary = json.loads(file["trajvae"].attrs["summary"])
        del summary["geometry"]
        file["trajvae"].attrs["summary"] = json.dumps(summary)
    return tmp_path


def test_older_files_are_drawn(older: Path) -> None:
    """By what they tell: Cartesian latents are flat space, others plain coordinates."""
    assert plots.read_points(older / "embed.h5").geometry == "e2"
    assert plots.read_points(older / "model.h5").geometry == "e2"
    way = plots.read(older / "path.h5md")
    assert isinstance(way, Conformations) and way.geometry == ""
    look = plots.FigureOptions(over=plots.read_points(older / "embed.h5"))
    for name in ("embed.h5", "model.h5", "marginals.h5", "path.h5md"):
        found = plots.read(older / name)
        figure = plots.draw(plots.panels_of(found, look if name == "path.h5md" else None))
        assert all(ax.get_xlabel() or ax.get_ylabel() for ax in figure.axes)


@pytest.mark.parametrize(
    ("summary", "geometry"),
    [
        ({"backend": "hyperspherical", "latent_dim": 3}, "s3:1.0"),
        ({"backend": "rhvae", "latent_dim": 2, "kl": {"position": 1.0}}, "e2"),
        (
            {"backend": "product", "latent_dim": 3, "kl": {"h2#0": 1.0, "e1#1": 1.0}, "curvatures": {"h2#0": -0.4}},
            "h2:0.4,e1",
        ),
        ({"backend": "embedded", "latent_dim": 2, "kl": {"torus": 1.0}}, ""),
    ],
)
def test_older_models_tell_their_geometry(written: Path, tmp_path: Path, summary: dict, geometry: str, edited) -> None:
    """By backend, parts and curvatures."""
    shutil.copy(written / "model.h5", tmp_path)
    with edited(tmp_path / "model.h5") as file:
        file["trajvae"].attrs["summary"] = json.dumps(summary)
    assert plots.read_points(tmp_path / "model.h5").geometry == geometry


def test_figures_without_an_ending_are_refused(written: Path, tmp_path: Path) -> None:
    """Nothing is written; and a file of no latent points has none to give."""
    figure = plots.draw(plots.panels_of(plots.read(written / "compare.h5")))
    with pytest.raises(OutputError, match=r"ends in \.png"):
        plots.save(figure, tmp_path / "figure.gif")
    assert not list(tmp_path.iterdir())
    with pytest.raises(ReadError, match="no latent points of frames"):
        plots.read_points(written / "compare.h5")


def test_one_figure_is_one_file(written: Path, tmp_path: Path) -> None:
    """Drawn and saved twice, bytes agree in all formats; a page is 7 inches wide, one panel 3.5."""
    panels = plots.panels_of(plots.read(written / "embed.h5"))
    for ending in ("png", "svg", "pdf"):
        data = []
        for _ in range(2):
            plots.save(plots.draw(panels), tmp_path / f"figure.{ending}", dpi=60)
            data.append((tmp_path / f"figure.{ending}").read_bytes())
        assert data[0] == data[1]
    assert plots.draw(panels).get_size_inches()[0] == 7.0
    assert plots.draw(plots.select_panels(panels, ["latent"])).get_size_inches()[0] == 3.5
