"""`trajvae path`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trajvae.choices import METRICS

from .. import options, report

if TYPE_CHECKING:
    from trajvae.figures import PathFigures


@click.command(
    cls=options.GroupedCommand,
    epilog="Examples: trajvae path --from 0 --to 97;  trajvae path --from open.pdb --to closed.pdb --frames 100 "
    "-o way.dcd",
)
@options.optional_trajectories
@options.reading
@click.option("--from", "first", required=True, metavar="FRAME|FILE", help="A frame's number from 0, or a structure.")
@click.option("--to", "last", required=True, metavar="FRAME|FILE", help="The same, of the other end.")
@click.option(
    "--metric",
    default="density",
    show_default=True,
    metavar=options.one_of(METRICS),
    help="What is shortest: the molecule's way where the simulation has been, its way anywhere, the way in the metric "
    "that rhvae has learned (elsewhere: posterior), in units of the posterior's width, or the straight line of the "
    "latent space.",
)
@click.option("--frames", type=int, default=50, show_default=True, help="Conformations along the path.")
@options.geometry
@options.model
@options.structures("path.h5md")
@options.common
def path(
    trajectories: tuple[str, ...],
    first: str,
    last: str,
    metric: str,
    frames: int,
    model: Path | None,
    output: Path,
    force: bool,
    as_json: bool,
    **choices: Any,
) -> None:
    """Find the way between two conformations: a geodesic of the latent space, decoded.

    Frame numbers count the frames that the model was trained on, or those of the trajectory given here.
    """
    from trajvae.results.conformation_pieces import conformation_files

    files = [x for x in (first, last) if not x.isdecimal()]
    read = {**choices, "model": model or Path("model.h5")}
    options.check_before_work(conformation_files(output), read, [*trajectories, *files], force=force)
    trained = options.load_model(model, choices["device"])
    found = trained.path(
        first,
        last,
        metric=metric,
        frames=frames,
        seed=choices["seed"],
        geometry=choices["geometry"],
        source=list(trajectories) or None,
        reading=options.reading_of(choices),
        progress=report.bar("bending", "step"),
    )
    dataclasses.replace(found, command=options.command_line()).save(output, force=force)
    report.result({**found.figures.to_json(), "output": str(output)}, _lines(found.figures, output), as_json=as_json)


def _lines(f: PathFigures, output: Path) -> list[str]:
    unit = {"pullback": " Å of all coordinates", "density": " (Å of all coordinates, longer off the simulation)"}
    return [
        f"{f.frames} conformations from {f.start} to {f.end}, {f.valid} of them valid; "
        f"RMSD to the nearest simulated frame {f.nearest_rmsd:.3f} Å in the mean",
        f"length in the metric '{f.metric}': {f.length:.4g}{unit.get(f.metric, '')}; "
        f"of the straight line {f.straight_length:.4g}",
        f"the atoms' way: {f.length_angstrom:.3f} Å of RMSD; along the straight line "
        f"{f.straight_length_angstrom:.3f} Å",
        f"positions: {options.written(output)}",
    ]
