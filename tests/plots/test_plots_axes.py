"""Every function: draws on the axes it is given and returns them, on its own otherwise; labels hold units."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from made_kinetics import made_kinetics
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trajvae import Embed, Model, free_energy, plots
from trajvae.errors import OptionError, TrajvaeWarning
from trajvae.results import Embedding
from trajvae.typing import Float32


def _of_energy(draw: Callable[..., Axes]) -> Callable[..., Axes]:
    """A function that draws the free energy of an embedding."""

    def drawn(points: Embedding, ax: Axes | None = None) -> Axes:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TrajvaeWarning)  # so few frames
            return draw(free_energy(points, temperature=300.0, resamples=20), ax=ax)

    return drawn


def _of_kinetics(draw: Callable[..., Axes]) -> Callable[..., Axes]:
    """A function that draws kinetics, whatever it is given."""
    return lambda _, ax=None: draw(made_kinetics(), ax=ax)


FUNCTIONS: dict[str, tuple[str, Callable[..., Axes], str, str]] = {
    # name: what it is of, the call, a part of the label of x, a part of that of y
    "latent": ("embed.h5", plots.latent, "z0 (prior widths)", "z1 (prior widths)"),
    "free_energy": ("embed.h5", plots.free_energy, "z0 (prior widths)", "z1 (prior widths)"),
    "energy_map": ("embed.h5", _of_energy(plots.energy_map), "z0 (prior widths)", "z1 (prior widths)"),
    "energy_error": ("embed.h5", _of_energy(plots.energy_error), "z0 (prior widths)", "z1 (prior widths)"),
    "basins": ("embed.h5", _of_energy(plots.basins), "basin", "free energy (kJ/mol)"),
    "timescales": ("embed.h5", _of_kinetics(plots.timescales), "lag (ps)", "time scale, Markov model (ps)"),
    "slowest_timescales": ("embed.h5", _of_kinetics(plots.slowest_timescales), "lag (ps)", "slowest time scale (ps)"),
    "scores": ("embed.h5", _of_kinetics(plots.scores), "", "VAMP-2 at a lag of 2 ps"),
    "chapman_kolmogorov": ("embed.h5", _of_kinetics(plots.chapman_kolmogorov), "lag (ps)", "probability"),
    "committor": ("embed.h5", _of_kinetics(plots.committor), "z0 (prior widths)", "z1 (prior widths)"),
    "outcomes": ("embed.h5", _of_kinetics(plots.outcomes), "committor from", "enters z0=0.5.. first"),
    "overlay": (
        "embed.h5",
        lambda e, **k: plots.overlay({"a": e}, over=e, **k),
        "z0 (prior widths)",
        "z1 (prior widths)",
    ),
    "frame_jumps": ("embed.h5", plots.frame_jumps, "time (ps)", "RMSD to the frame before (Å)"),
    "history": ("history", plots.history, "epoch", "ELBO (nats a frame)"),
    "divergence": ("history", plots.divergence, "epoch", "KL divergence (nats a frame)"),
    "reconstruction": ("figures", plots.reconstruction, "RMSD (Å)", ""),
    "marginal": (
        "marginals.h5",
        lambda m, **k: plots.marginal(m, "rg", **k),
        "radius of gyration (Å)",
        "density (1/Å)",
    ),
    "divergences": ("marginals.h5", plots.divergences, "Jensen–Shannon divergence (bits)", ""),
    "distribution": ("generate.h5md", plots.distribution, "radius of gyration (Å)", "conformations"),
    "validity": ("generate.h5md", plots.validity, "conformations (%)", ""),
    "optimisation": ("optimize.h5md", plots.optimisation, "step", "radius of gyration (Å)"),
    "latent_path": ("path.h5md", plots.latent_path, "z0 (prior widths)", "z1 (prior widths)"),
    "path_speed": ("path.h5md", plots.path_speed, "along the path", "speed (prior widths)"),
    "path_distance": ("path.h5md", plots.path_distance, "along the path", "RMSD to the nearest frame (Å)"),
    "observable_along_path": (
        "path.h5md",
        lambda p, **k: plots.observable_along_path(p, "rg", **k),
        "along the path",
        "radius of gyration (Å)",
    ),
    "evidence": ("compare.h5", plots.evidence, "nats a frame", ""),
    "bounds": ("compare.h5", plots.bounds, "draws", "nats a frame"),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_axes_in_axes_out(name: str, made: dict[str, Any]) -> None:
    """The axes given come back with something on them, labels and units; without axes there are new ones."""
    thing, function, x, y = FUNCTIONS[name]
    record = made["model.h5"].record
    of = made[thing] if thing in made else getattr(record, thing)
    ax = Figure().add_subplot()
    assert function(of, ax=ax) is ax
    assert x in ax.get_xlabel() and y in ax.get_ylabel()
    assert ax.lines or ax.collections or ax.patches
    assert function(of).figure is not ax.figure


def test_every_function_is_tried() -> None:
    """Whatever the package exports that gives axes stands in the table, but for what this chain has not."""
    drawn = {n for n in plots.__all__ if getattr(getattr(plots, n), "__annotations__", {}).get("return") == "Axes"}
    assert drawn - {"curvature"} == set(FUNCTIONS)


def test_names_of_earlier_versions() -> None:
    """They are the functions that have other names now."""
    assert plots.way is plots.latent_path and plots.along is plots.observable_along_path
    assert plots.chosen is plots.select_panels and plots.Look is plots.FigureOptions


def test_curvatures_of_a_product() -> None:
    """A line a factor with its name; a latent space that has none is refused."""
    record = {"epoch": np.arange(3), "curvature": np.array([[-1.0, 1.0], [-0.9, 0.8], [-0.7, 0.6]])}
    ax = plots.curvature(record, ["h2#0", "s2#1"])
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["h2#0", "s2#1"]
    assert "curvature K" in ax.get_ylabel()
    with pytest.raises(OptionError, match="no curvature"):
        plots.curvature({"epoch": np.arange(3), "curvature": np.empty((3, 0))})


def test_what_is_drawn_is_what_is_held(made: dict[str, Any]) -> None:
    """Points, histograms and curves have the numbers of the objects, in order where it counts."""
    dots = plots.latent(made["embed.h5"]).collections[0].get_offsets()
    assert sorted(map(tuple, dots)) == sorted(map(tuple, made["embed.h5"].latent))
    marginal = made["marginals.h5"].table["rg"]
    drawn = {p.get_label(): p.get_data() for p in plots.marginal(made["marginals.h5"], "rg").patches}
    model = drawn[f"model ({marginal.jsd:.3f})"]
    assert marginal.wide is not None and marginal.wide.edges[-1] > marginal.edges[-1]
    np.testing.assert_allclose(model.values * np.diff(model.edges), marginal.wide.model)
    halves = drawn[f"its other half ({marginal.noise_floor:.3f})"]
    np.testing.assert_allclose(halves.values * np.diff(halves.edges), marginal.wide.second)
    best = made["optimize.h5md"].figures["best_observed"]
    lines = {line.get_label(): line for line in plots.optimisation(made["optimize.h5md"]).lines}
    assert lines["best frame"].get_ydata()[0] == best
    expected = made["optimize.h5md"].extra["path"]["expected"].value
    np.testing.assert_array_equal(lines["expected"].get_ydata(), expected)


@pytest.mark.filterwarnings("ignore:no topology")
def test_results_of_an_analysis(tiny_model: Model, chain: Float32) -> None:
    """What `Embed` and `TrajVAE` leave in `results` is drawn as it is."""
    results = Embed(chain.copy(), tiny_model).run(stop=50).results
    assert len(plots.latent(results).collections[0].get_offsets()) == 50
    assert len(plots.frame_jumps(results).lines[0].get_ydata()) == 50
    results = Embed(chain.copy(), tiny_model).run().results
    assert plots.free_energy(results).get_xlabel() == plots.latent(results).get_xlabel() == "z0 (prior widths)"


def test_names_are_no_formulas(made: dict[str, Any], tmp_path: Path) -> None:
    """A model file may have dollar signs in its name."""
    found = made["compare.h5"]
    odd = dataclasses.replace(found, entries={f"a${name}_$ {{.h5": e for name, e in found.entries.items()})
    for function in (plots.evidence, plots.bounds):
        plots.save(function(odd).figure, tmp_path / "odd.svg")
        assert "a$euclidean_$ {.h5" in (tmp_path / "odd.svg").read_text()


def test_unknown_names_are_told(made: dict[str, Any]) -> None:
    """Errors that list what there is; conformations of no optimisation have no curve."""
    with pytest.raises(OptionError, match="no observable 'sasa'; there are"):
        plots.marginal(made["marginals.h5"], "sasa")
    with pytest.raises(OptionError, match="no observable 'sasa'; there are rg"):
        plots.distribution(made["generate.h5md"], "sasa")
    with pytest.raises(OptionError, match="of no optimisation"):
        plots.optimisation(made["generate.h5md"])


def test_a_way_goes_over_a_surface(made: dict[str, Any]) -> None:
    """Drawn on the axes of a free energy, it leaves the labels and the surface."""
    ax = plots.free_energy(made["embed.h5"])
    surface = ax.collections[0]
    assert plots.latent_path(made["path.h5md"], ax=ax) is ax
    assert ax.collections[0] is surface and ax.get_xlabel() == "z0 (prior widths)"
    assert len(ax.lines) >= 4


def test_nothing_global_is_touched() -> None:
    """Drawing imports no pyplot, chooses no backend and leaves the settings of matplotlib as they were."""
    code = (
        "import sys, matplotlib, numpy as np\nbefore = matplotlib.rcParams.copy()\nfrom trajvae import plots\n"
        "record = {'epoch': np.arange(3), 'train_elbo': np.arange(3.0), 'held_out_elbo': np.arange(3.0)}\n"
        "figure = plots.draw([('history', lambda ax: plots.history(record, ax=ax))])\n"
        "assert matplotlib.rcParams.copy() == before\n"
        "assert 'matplotlib.pyplot' not in sys.modules and 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert matplotlib.rcParams["font.size"] != 8.0
