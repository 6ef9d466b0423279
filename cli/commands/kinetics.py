"""`trajvae kinetics`."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import options, report

if TYPE_CHECKING:
    from trajvae.figures import KineticsFigures
    from trajvae.results import Kinetics

_NAMES = {"latent": "latent", "tica": "TICA", "pca": "PCA", "markov": "Markov model"}


@click.command(
    cls=options.GroupedCommand,
    epilog="Examples: trajvae kinetics traj.dcd -s top.psf --lag 10ps;  trajvae kinetics traj.dcd -s top.psf "
    "-m model.h5 --lag 1ps,2ps,5ps,10ps,20ps;  trajvae kinetics embed.h5 --lag 5,10,20 --states 100",
)
@click.argument("sources", nargs=-1, metavar="TRAJ...|FILE", type=str)
@options.option(
    "--lag",
    required=True,
    metavar="TIME,...",
    help="Lag times, such as 10ps, 2ns or 5 (frames as they are read): time scales are those at each.",
)
@options.option(
    "--states", type=int, help="Of the Markov model.", default_text="half the root of the number of frames, 5 to 200"
)
@options.reading
@options.weights
@options.model
@options.output("kinetics.h5")
@options.as_json
@options.no_verify
@options.seed
def kinetics(
    sources: tuple[str, ...],
    lag: str,
    states: int | None,
    model: Path | None,
    output: Path,
    force: bool,
    as_json: bool,
    seed: int,
    **choices: Any,
) -> None:
    """Measure how slow the latent coordinates are, beside TICA and PCA; estimate a Markov model.

    Given trajectories, a model (model.h5 in this folder unless -m names one) encodes them. Given an embed.h5, its
    latent points are taken, and the trajectories and the model that it names are read again for TICA and PCA of the
    model's features. Scores and the Markov model are at the shortest lag from which on the slowest time scale has
    levelled off; their errors come from blocks of frames.
    """
    from trajvae.kinetic_analysis.deeptime_library import check_deeptime

    names = options.need_trajectories(sources, "kinetics")
    check_deeptime()
    lags = [part for part in lag.split(",") if part.strip()]
    if _is_result(names):
        _refuse_reading(model, choices)
        options.check_before_work([output], choices, names, force=force)
        found = _of_file(names[0], lags, states, seed, choices)
    else:
        path = model or Path("model.h5")
        options.check_before_work([output], {**choices, "model": path}, names, force=force)
        found = _of_trajectories(path, names, lags, states, seed, choices)
    dataclasses.replace(found, command=options.command_line()).save(output, force=force)
    figures = {**found.figures.to_json(), "output": str(output)}
    report.result(figures, _lines(found.figures, output), as_json=as_json)


def _is_result(names: list[str]) -> bool:
    """Whether what is named is a file of trajvae's, and no trajectory (mdtraj writes .h5 too)."""
    from trajvae.errors import TrajvaeError
    from trajvae.store import describe_file

    path = Path(names[0])
    if len(names) != 1 or path.suffix != ".h5":
        return False
    try:
        return not path.exists() or bool(describe_file(path).header.kind)
    except TrajvaeError:
        return False


def _refuse_reading(model: Path | None, choices: options.Choices) -> None:
    """Refuse options that say how trajectories are read beside latent points that were read."""
    given = [f"--{name}" for name in options.READING if choices[name] not in (None, ())]
    given += ["--model"] if model is not None else []
    if given:
        raise click.UsageError(f"{', '.join(given)} would need trajectories: give these instead of a file of points")


def _of_file(name: str, lags: list[str], states: int | None, seed: int, choices: options.Choices) -> Kinetics:
    from trajvae.kinetic_analysis.estimate import kinetics as estimate_kinetics

    return estimate_kinetics(
        name,
        lags=lags,
        states=states,
        weights=options.weights_of(choices),
        temperature=choices["temperature"],
        seed=seed,
    )


def _of_trajectories(
    path: Path, names: list[str], lags: list[str], states: int | None, seed: int, choices: options.Choices
) -> Kinetics:
    trained = options.load_model(path, "cpu")
    return trained.kinetics(
        names,
        options.reading_of(choices),
        lags=lags,
        states=states,
        weights=options.weights_of(choices),
        temperature=choices["temperature"],
        seed=seed,
    )


def _lines(f: KineticsFigures, output: Path) -> list[str]:
    """Return the scores, the slowest time scales at each lag, and what the Markov model is worth."""
    unit = "frames" if f.lag_unit == "frame" else f.lag_unit
    lines = [f"{f.frames} frames; at a lag of {f.lag:g} {unit}, VAMP-2 of slow functions on blocks left out:"]
    lines += [f"  {_NAMES.get(name, name):13s} {v:.3f} ± {f.vamp2_error[name]:.3f}" for name, v in f.vamp2.items()]
    lines.append(f"slowest time scales ({unit}):")
    lines += [_row("lag", [f"{lag:g}" for lag in next(iter(f.timescales.values())).lag])]
    for name, found in f.timescales.items():
        cells = [_with_error(v[0], e[0]) for v, e in zip(found.value, found.error, strict=True)]
        lines.append(_row(_NAMES.get(name, name), cells))
    slow = "1 process is" if f.processes == 1 else f"{f.processes} processes are"
    return [
        *lines,
        f"{slow} slower than the lag and above the noise; Markov model of {f.states} states with "
        f"{100.0 * f.connected:.1f} % of the frames; Chapman-Kolmogorov test off by {f.deviation:.1f} standard errors "
        "at most",
        f"kinetics: {output}",
    ]


def _row(name: str, cells: list[str]) -> str:
    return f"  {name:13s} " + " ".join(f"{cell:>15s}" for cell in cells)


def _with_error(value: float, error: float) -> str:
    """Return a time scale and its error, to two digits of the error; a dash where there is none."""
    if not (math.isfinite(value) and error > 0.0):
        return "-" if math.isnan(value) else f"{value:.4g}"
    digits = min(max(0, 1 - math.floor(math.log10(error))), 6)
    return f"{value:.{digits}f} ± {error:.{digits}f}"
