"""`trajvae kinetics`."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from .. import options, report
from ..committor_output import committor_lines, regions_typed, with_structures

if TYPE_CHECKING:
    from trajvae.figures import KineticsFigures
    from trajvae.results import Kinetics


class _Asked(NamedTuple):
    """Hold what is to be computed."""

    lags: list[str]
    states: int | None
    between: tuple[str, str] | None
    basins: Path
    seed: int
    choices: options.Choices


_NAMES = {"latent": "latent", "tica": "TICA", "pca": "PCA", "markov": "Markov model"}


@click.command(
    cls=options.GroupedCommand,
    epilog="Examples: trajvae kinetics traj.dcd -s top.psf --lag 10ps;  trajvae kinetics traj.dcd -s top.psf "
    "-m model.h5 --lag 1ps,2ps,5ps,10ps,20ps;  trajvae kinetics embed.h5 --lag 5,10,20 --states 100;  "
    "trajvae kinetics embed.h5 --lag 10ps --from 0 --to 2;  trajvae kinetics embed.h5 --lag 10ps --from z0=..-1 --to "
    "z0=1..,z1=-0.5..0.5",
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
@options.option(
    "--from",
    "source",
    metavar="BASIN",
    help="Compute the committor from here: the number of a basin, a box such as 'z0=-1.2..-0.5,z1=..0', or a file of "
    "frame numbers.",
    default_text="no committor",
)
@options.option("--to", "target", metavar="BASIN", help="The region that trajectories then enter first, or not.")
@options.option(
    "--basins",
    type=options.PATH,
    metavar="FILE",
    help="The free_energy.h5 of the same frames, where basins are numbered.",
    default_text="free_energy.h5 beside what is read",
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
    source: str | None,
    target: str | None,
    basins: Path | None,
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

    With --from and --to, the committor of each frame is the probability that the trajectory enters --to before --from.
    Frames with a committor from 0.45 to 0.55 are written as transition_states.pdb beside the output.
    """
    from trajvae.kinetic_analysis.deeptime_library import check_deeptime

    names = options.need_trajectories(sources, "kinetics")
    check_deeptime()
    beside = Path(names[0]).parent if _is_result(names) else Path()
    asked = _Asked(
        lags=[part for part in lag.split(",") if part.strip()],
        states=states,
        between=regions_typed(source, target),
        basins=basins or beside / "free_energy.h5",
        seed=seed,
        choices=choices,
    )
    outputs = [output] if asked.between is None else [output.parent / "transition_states.pdb", output]
    if _is_result(names):
        _refuse_reading(model, choices)
        options.check_before_work(outputs, choices, [*names, str(asked.basins)], force=force)
        found = _of_file(names[0], asked, output.parent)
    else:
        path = model or Path("model.h5")
        options.check_before_work(outputs, {**choices, "model": path}, [*names, str(asked.basins)], force=force)
        found = _of_trajectories(path, names, asked, output.parent)
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


def _of_file(name: str, asked: _Asked, folder: Path) -> Kinetics:
    from trajvae.free_energies.structures import open_embedded
    from trajvae.kinetic_analysis.estimate import kinetics as estimate_kinetics
    from trajvae.results import load_latent_points

    points = load_latent_points(name)
    found = estimate_kinetics(
        points,
        lags=asked.lags,
        states=asked.states,
        weights=options.weights_of(asked.choices),
        temperature=asked.choices["temperature"],
        between=asked.between,
        basins=asked.basins,
        seed=asked.seed,
    )
    return with_structures(found, lambda: open_embedded(points), folder, name)


def _of_trajectories(path: Path, names: list[str], asked: _Asked, folder: Path) -> Kinetics:
    trained, reading = options.load_model(path, "cpu"), options.reading_of(asked.choices)
    found = trained.kinetics(
        names,
        reading,
        lags=asked.lags,
        states=asked.states,
        weights=options.weights_of(asked.choices),
        temperature=asked.choices["temperature"],
        between=asked.between,
        basins=asked.basins,
        seed=asked.seed,
    )
    return with_structures(found, lambda: trained.open(names, reading), folder, ", ".join(names))


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
        *([] if f.committor is None else committor_lines(f.committor)),
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
