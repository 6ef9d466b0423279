"""`trajvae optimize`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from . import options, report


@click.command(
    epilog="Examples: trajvae optimize --objective rg;  trajvae optimize --objective distance:0,9 --goal 5.5;  "
    "trajvae optimize --objective my_module:my_function --goal max"
)
@options.trajectories
@options.reading
@click.option("--objective", required=True, help="rg, end-to-end, distance:i,j, rmsd:FILE or module:function.")
@click.option("--goal", default="min", show_default=True, metavar="min|max|VALUE", help="Which way.")
@click.option(
    "--of",
    type=click.Choice(["sample", "mean"]),
    default="sample",
    show_default=True,
    help="Follow the expectation under p(x|z) and give valid draws, or follow the decoded mean and give it.",
)
@options.model
@options.output("optimize.h5md")
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
    """Structures that optimise an observable, where the simulation has been.

    The optimum is reported beside the simulation's best frame; with a trajectory, beside the best of all its frames.
    """
    from trajvae.outputs.conformations import conformation_files
    from trajvae.outputs.objectives import Goal

    Goal(goal)
    read = {**choices, "model": model or Path("model.h5")}
    reference = [objective.removeprefix("rmsd:")] if objective.startswith("rmsd:") else []
    options.ready(conformation_files(output), read, [*trajectories, *reference], force=force)
    trained = options.load_model(model, choices["device"])
    found = trained.optimize(
        objective,
        goal=goal,
        of=of,
        seed=choices["seed"],
        source=list(trajectories) or None,
        reading=options.reading_of(choices),
        progress=report.bar("optimising", "step"),
    )
    dataclasses.replace(found, command=options.command_line()).save(output, force=force)
    report.result({**found.figures, "output": str(output)}, _lines(found.figures, output), as_json=as_json)


def _lines(f: dict[str, Any], output: Path) -> list[str]:
    ratio = f["optimum"] / f["best_observed"] if f["best_observed"] else float("nan")
    verdict = "valid" if f["valid"] else "NOT VALID"
    place = "in the simulation's support" if f["in_support"] else "OUTSIDE the simulation's support"
    lines = [
        f"{f['objective']}, goal {f['goal']}, of {f['of']}: {f['optimum']:.4f} "
        f"(expected there {f['expected']:.4f}; start {f['initial']:.4f}), {verdict}, {place}",
        f"simulation: best frame {f['best_observed']:.4f} (ratio {ratio:.3f}), "
        f"1 % and 99 % quantiles {f['quantiles'][0]:.4f} and {f['quantiles'][1]:.4f}",
        f"bonds {f['bonds'][0]:.3f} to {f['bonds'][1]:.3f} Å; "
        f"in the simulation {f['simulated_bonds'][0]:.3f} to {f['simulated_bonds'][1]:.3f} Å",
    ]
    if not f["valid"]:
        lines.append(
            "no valid structure was found there: train with more frames or --likelihood full, or try --of mean"
        )
    return [*lines, f"structures, best first: {output}   topology: {output.with_suffix('.pdb')}"]
