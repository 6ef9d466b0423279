"""`trajvae optimize`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trajvae.display import unit_symbol
from trajvae.outputs.searching.objective_table import file_of, objective_help

from .. import options, report

if TYPE_CHECKING:
    from trajvae.figures import OptimizationFigures, RejectionFigures

_PLACES = ("out of support", "unfamiliar")  # reasons that are no failure of the validity test


@click.command(
    cls=options.GroupedCommand,
    epilog="Examples: trajvae optimize --objective rg;  trajvae optimize --objective distance:0,9 --goal 5.5;  "
    "trajvae optimize --objective dihedral:0,1,3,4 --goal 180;  "
    "trajvae optimize --objective my_module:my_function --goal max;  trajvae optimize --objective rg -o compact.pdb",
)
@options.optional_trajectories
@options.reading
@click.option(
    "--objective",
    required=True,
    help=objective_help(),
)
@click.option(
    "--goal",
    default="min",
    show_default=True,
    metavar="[min|max|VALUE]",
    help="Minimise, maximise, or come near to a value; a periodic objective takes a value alone.",
)
@click.option(
    "--of",
    type=click.Choice(["sample", "mean"]),
    default="sample",
    show_default=True,
    help="sample: optimise the mean over p(x|z) and return valid draws; mean: optimise and return decoded means.",
)
@options.geometry
@options.model
@options.structures("optimize.h5md")
@options.common
def optimize(
    trajectories: tuple[str, ...],
    objective: str,
    goal: str,
    of: str,
    model: Path | None,
    output: Path,
    force: bool,
    as_json: bool,
    **choices: Any,
) -> None:
    """Find structures that optimise an observable, where the simulation has been.

    The optimum is reported beside the simulation's best frame; with a trajectory (and its -s, --select, ...), beside
    the best of all its frames.
    """
    from trajvae.outputs.searching.objectives import Goal
    from trajvae.results.conformation_pieces import conformation_files

    Goal(goal)
    read = {**choices, "model": model or Path("model.h5")}
    reference = file_of(objective)
    sources = [*trajectories, *([] if reference is None else [reference])]
    options.check_before_work(conformation_files(output), read, sources, force=force)
    trained = options.load_model(model, choices["device"])
    found = trained.optimize(
        objective,
        goal=goal,
        of=of,
        seed=choices["seed"],
        geometry=choices["geometry"],
        source=list(trajectories) or None,
        reading=options.reading_of(choices),
        progress=report.bar("optimising", "step"),
    )
    dataclasses.replace(found, command=options.command_line()).save(output, force=force)
    report.result({**found.figures.to_json(), "output": str(output)}, _lines(found.figures, output), as_json=as_json)


def _lines(f: OptimizationFigures, output: Path) -> list[str]:
    verdict = "valid" if f.valid else f"NOT VALID ({f.failure})"
    place = "in the simulation's support" if f.in_support else "OUTSIDE the simulation's support"
    away = "" if f.away is None else f", {f.away:.4f} from the goal"
    moved = "; it is a draw that was moved into the simulation's ranges of bonds, angles and contacts"
    unit = f" {unit_symbol(f.unit)}".rstrip()
    lines = [
        f"{f.objective}, goal {f.goal}, of {f.of}: {f.optimum:.4f}{unit}{away} "
        f"(expected there {f.expected:.4f}; start {f.initial:.4f}), {verdict}, {place}"
        f"{moved if f.projected else ''}",
        *_simulation(f, ratio=not away),
        *_rejected(f.better_rejected),
        f"bonds {f.bonds[0]:.3f} to {f.bonds[1]:.3f} Å; "
        f"in the simulation {f.simulated_bonds[0]:.3f} to {f.simulated_bonds[1]:.3f} Å",
        f"{f.structures} structures that are {f.merge_radius:.2f} Å or more of RMSD apart; {f.merged} others "
        "are nearer than that to one of them and are left out",
    ]
    if not f.valid:
        lines.append("no valid structure was found there: --of mean, or a model of more frames, may have one")
    return [*lines, *f.verdict_lines(), f"structures, best first: {options.written(output)}"]


def _simulation(f: OptimizationFigures, *, ratio: bool) -> list[str]:
    """Return the best simulated frame and the range of the simulation, and whether the optimum is any better."""
    file, number = f.best_observed_file, f.best_observed_frame
    where = f"number {number}" + (f", frame {f.best_observed_file_frame} of {file}" if file else "")
    unit = f" {unit_symbol(f.unit)}".rstrip()
    share = f", ratio {f.ratio:.3f}" if ratio and f.ratio is not None else ""
    lines = [
        f"simulation: best frame {f.best_observed:.4f}{unit} ({where}{share}), "
        f"1 % and 99 % quantiles {f.quantiles[0]:.4f} and {f.quantiles[1]:.4f}"
    ]
    if not f.better_than_observed and f.valid and f.in_support:
        lines.append(f"the optimum is no better than the simulation's best frame, number {number}")
    return lines


def _rejected(entries: Sequence[RejectionFigures]) -> list[str]:
    """Return which better structures do not come first, and why."""
    lines = []
    for entry in entries:
        kind = entry.reason if entry.reason in _PLACES else f"not valid ({entry.reason})"
        lines.append(f"  {entry.count} {kind}, the best of them {entry.best:.4f}: {entry.why}")
    return ["structures with a better objective were found, but are listed after it:", *lines] if lines else []
