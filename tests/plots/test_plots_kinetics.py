"""Figures of kinetics: what is drawn is what the file holds."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from made_kinetics import made_kinetics
from matplotlib.axes import Axes

from trajvae import plots
from trajvae.errors import OptionError
from trajvae.results import Kinetics
from trajvae.typing import Float64


@pytest.fixture(scope="module")
def found() -> Kinetics:
    """Two wells with a transition state between them."""
    return made_kinetics()


def lines_of(ax: Axes) -> dict[str, Float64]:
    """Points of the lines that a legend names."""
    return {str(line.get_label()): np.asarray(line.get_xydata()) for line in ax.lines}


@pytest.mark.parametrize("committor", [True, False])
def test_the_panels(found: Kinetics, *, committor: bool) -> None:
    """Without a committor there are four; the figure is drawn whole."""
    panels = plots.panels_of(found if committor else replace(found, committor=None))
    four = ["timescales", "slowest_timescales", "scores", "chapman_kolmogorov"]
    assert [name for name, _ in panels] == [*four, *(["committor", "outcomes"] if committor else [])]
    plots.draw(panels).savefig(io.BytesIO(), format="png", dpi=40)


def test_time_scales(found: Kinetics) -> None:
    """Each process at each lag where it is resolved, the line where it equals the lag, and errors as bars."""
    ax, scales = plots.timescales(found), found.timescales["markov"]
    lines = lines_of(ax)
    np.testing.assert_allclose(lines["process 1"], np.stack([scales.lag, scales.value[:, 0]], axis=1))
    np.testing.assert_allclose(lines["process 2"], np.stack([scales.lag, scales.value[:, 1]], axis=1)[:2])
    diagonal = next(line for line in ax.lines if line.get_linestyle() == "--")
    np.testing.assert_allclose(diagonal.get_xdata(), diagonal.get_ydata())
    assert ax.get_xscale() == ax.get_yscale() == "log" and ax.get_ylabel() == "time scale, Markov model (ps)"
    bars = [c for c in ax.collections if len(c.get_paths()) == 3]
    ends = np.array([path.vertices[:, 1] for path in bars[0].get_paths()])
    np.testing.assert_allclose(ends, scales.value[:, :1] + np.array([-1.0, 1.0]) * scales.error[:, :1])
    shaded = ax.collections[-1].get_paths()[0].vertices
    assert (shaded[:, 1] <= shaded[:, 0] * 1.000001).all()  # below the line
    with pytest.raises(OptionError, match="no time scale 'vamp'; there are"):
        plots.timescales(found, "vamp")


def test_the_slowest_of_each(found: Kinetics) -> None:
    """A line for each of the coordinates and for the Markov model."""
    lines = lines_of(plots.slowest_timescales(found))
    assert {"latent space", "TICA", "PCA", "Markov model"} <= set(lines)
    np.testing.assert_allclose(lines["TICA"][:, 1], found.timescales["tica"].value[:, 0])


def test_scores(found: Kinetics) -> None:
    """Bars from the constant's score, and the numbers with their errors."""
    ax = plots.scores(found)
    tops = [bar.get_y() + bar.get_height() for bar in ax.patches]
    np.testing.assert_allclose(tops, [s.vamp2 for s in found.scores])
    assert [t.get_text() for t in ax.texts] == ["1.900 ± 0.030", "1.950 ± 0.040", "1.200 ± 0.050"]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["latent space", "TICA", "PCA"]


def test_the_test_of_the_markov_model(found: Kinetics) -> None:
    """Lines are predictions, from 1 at no lag."""
    lines = lines_of(plots.chapman_kolmogorov(found))
    first = next(points for name, points in lines.items() if name.startswith("set 0"))
    np.testing.assert_allclose(first[0], [0.0, 1.0])
    np.testing.assert_allclose(first[1:], np.stack([found.test.lag, found.test.predicted[:, 0]], axis=1))


def test_the_committor_on_the_map(found: Kinetics) -> None:
    """A colour for each frame, and rings about the transition states."""
    known = found.committor
    assert known is not None
    dots, rings = plots.committor(found).collections
    order = np.lexsort(np.asarray(dots.get_offsets()).T)
    expected = np.lexsort(found.latent.T)
    np.testing.assert_allclose(np.asarray(dots.get_array())[order], known.value[expected])
    np.testing.assert_allclose(np.asarray(rings.get_offsets()), found.latent[known.transition_states])


def test_outcomes(found: Kinetics) -> None:
    """Shares against committors, with numbers of frames."""
    known = found.committor
    assert known is not None
    ax = plots.outcomes(found)
    made = known.calibration
    points = next(np.asarray(line.get_xydata()) for line in ax.lines if line.get_marker() == "o")
    np.testing.assert_allclose(points, np.stack([made.committor, made.outcome], axis=1))
    assert [t.get_text() for t in ax.texts] == [str(n) for n in made.frames]
    assert ax.get_xlabel() == "committor from basin 0 to z0=0.5.."


def test_without_a_committor_the_way_to_one_is_named(found: Kinetics) -> None:
    """It is an option of the command."""
    for function in (plots.committor, plots.outcomes):
        with pytest.raises(OptionError, match="--from and --to"):
            function(replace(found, committor=None))


def test_colours(found: Kinetics) -> None:
    """Of what the file has of each frame; distances of atoms need an embed.h5."""
    panels = plots.panels_of(found, plots.FigureOptions(colours=["state", "committor", "time"]))
    assert [name for name, _ in panels][-3:] == ["latent"] * 3
    with pytest.raises(OptionError, match=r"measured in the frames of an embed\.h5"):
        plots.panels_of(found, plots.FigureOptions(colours=["distance:0,1"]))
