"""Figures of free energies: maps with errors on every kind of space, and basins."""

from __future__ import annotations

import io

import numpy as np
import pytest
from known_densities import KNOWN

import trajvae
from trajvae import plots
from trajvae.errors import OptionError
from trajvae.results import FreeEnergy


def found_of(name: str) -> FreeEnergy:
    """The free energy of a few points of a space."""
    known = KNOWN[name]
    latent = known.draw(500, np.random.default_rng(0))
    return trajvae.free_energy(latent, temperature=300.0, geometry=known.geometry, resamples=20)


@pytest.mark.parametrize("name", KNOWN)
def test_every_space_is_drawn(name: str) -> None:
    """A map, its errors beside it or about it, and the basins; every basin has its number."""
    found = found_of(name)
    panels = plots.panels_of(found)
    alone = len(found.maps[found.basins_of].edges) == 1
    assert [p for p, _ in panels] == ["free_energy", *([] if alone else ["free_energy_error"]), "basins"]
    figure = plots.draw(panels)
    figure.savefig(io.BytesIO(), format="png", dpi=40)
    shown = [text.get_text() for text in figure.axes[0].texts]
    assert [str(k) in shown for k in range(len(found.basins.minimum))] == [True] * len(found.basins.minimum)


def test_values_are_those_of_the_file() -> None:
    """Colours of cells, and a band of one standard error."""
    plane, line = found_of("plane"), found_of("line")
    mesh = plots.energy_map(plane).collections[0]
    assert np.array_equal(np.ma.filled(mesh.get_array(), np.nan), plane.maps["z0-z1"].value.T, equal_nan=True)
    errors = plots.energy_error(plane).collections[0]
    assert np.array_equal(np.ma.filled(errors.get_array(), np.nan), plane.maps["z0-z1"].error.T, equal_nan=True)
    ax, part = plots.energy_map(line), line.maps["z0"]
    band, steps = (patch.get_data() for patch in ax.patches)
    assert np.array_equal(band.values, part.value + part.error, equal_nan=True)
    assert np.array_equal(band.baseline, part.value - part.error, equal_nan=True)
    assert np.array_equal(steps.values, part.value, equal_nan=True)
    assert "kJ/mol" in ax.get_ylabel() and ax.get_xlabel() == "z0 (prior widths)"


def test_errors_of_basins_are_bars() -> None:
    """As long as the standard error, with the population beside."""
    found = found_of("plane")
    ax = plots.basins(found)
    assert len(ax.texts) == len(found.basins.minimum) and "%" in ax.texts[0].get_text()


def test_a_map_that_is_not_there_is_told() -> None:
    """With those that are; colours by an observable suit no free energy."""
    found = found_of("line")
    with pytest.raises(OptionError, match="z0"):
        plots.energy_map(found, "z4")
    with pytest.raises(OptionError, match="--color"):
        plots.panels_of(found, plots.FigureOptions(colours=["rg"]))
