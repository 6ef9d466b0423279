"""`trajvae plot`."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import click

from .. import grouped, options, report


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Let matplotlib be imported where no `matplotlibrc` stands: one in the working folder may be broken."""
    os.environ.pop("MATPLOTLIBRC", None)
    with contextlib.chdir("/"):
        yield


@click.command(
    cls=options.GroupedCommand,
    epilog="Examples: trajvae plot embed.h5 --temperature 310;  trajvae plot embed.h5 --color rg --color "
    '"dihedral:4,6,8,14";  trajvae plot embed.h5 --color COLVAR:phi;  trajvae plot a.h5 b.h5 --over model.h5;  '
    "trajvae plot path.h5md --over embed.h5 -o path.pdf;  "
    "trajvae plot marginals.h5 --observable rg --only marginal -o rg.svg",
)
@click.argument("files", type=options.PATH, nargs=-1, required=True, metavar="FILE...")
@options.output_option(
    "-o", "--output", type=options.PATH, help="File to write: .png, .svg or .pdf.", default_text="FILE's name.png"
)
@options.output_option("-f", "--force", is_flag=True, help="Replace the output if it exists.")
@options.option(
    "--temperature", type=float, help="Of the simulation, in K: free energies in kJ/mol.", default_text="in kT"
)
@options.option(
    "--bins", type=int, help="Cells of a free energy along an axis.", default_text="by the number of points"
)
@options.option(
    "--color",
    "--colour",
    "colours",
    multiple=True,
    metavar="WHAT",
    help="What latent points are coloured by, a panel each: an observable of the file (rg, end_to_end, rmsd, "
    "frame_jump, in_support), time, trajectory; FILE[:COLUMN] of a .npy, .csv or COLVAR file with a row a frame; "
    "distance:A,B, angle:A,B,C or dihedral:A,B,C,D of atom numbers (from 0, within the selection) or selections.",
    default_text="time",
)
@options.input_option(
    "--trajectory",
    "trajectories",
    type=options.PATH,
    multiple=True,
    metavar="TRAJ",
    group=grouped.INPUT,
    help="Where distances and angles of --color are read.",
    default_text="the files that embed.h5 names",
)
@options.input_option(
    "-s",
    "--topology",
    "topologies",
    type=options.PATH,
    multiple=True,
    metavar="PATH",
    group=grouped.INPUT,
    help="Of those trajectories.",
    default_text="the one that embed.h5 names",
)
@options.option(
    "--observable",
    "observables",
    multiple=True,
    help="Of those that the file holds: a panel for each.",
    default_text="the usual ones",
)
@options.option(
    "--only", multiple=True, metavar="PANEL", help="Panels by name, as --json lists them.", default_text="all"
)
@options.option(
    "--over",
    type=options.PATH,
    help="embed.h5 or model.h5 below: its free energy below a path or an "
    "optimisation, the density of its frames below embeddings.",
)
@click.option("--dpi", type=options.Number(20, 1200), default=300, show_default=True, help="Dots an inch.")
@options.as_json
@options.no_verify
def plot(
    files: tuple[Path, ...],
    output: Path | None,
    force: bool,
    only: tuple[str, ...],
    over: Path | None,
    dpi: float,
    as_json: bool,
    temperature: float | None,
    bins: int | None,
    observables: tuple[str, ...],
    colours: tuple[str, ...],
    trajectories: tuple[Path, ...],
    topologies: tuple[Path, ...],
) -> None:
    """Draw a figure of what one of trajvae's files holds.

    Latent coordinates in time and their free energy, of embed.h5; how a training went, of model.h5; simulation
    against model, of marginals.h5; time scales, scores and committors, of kinetics.h5; conformations,
    optimisations, paths and comparisons, of theirs. Several embed.h5 are laid over one map, each trajectory in its
    colour. Every panel is a function of trajvae.plots.
    """
    with undisturbed():
        from trajvae import plots
    from trajvae.store import whole_files

    target = output or Path(f"{files[0].stem}.png")
    plots.check_format(target)
    beside = [over] if over else []
    read = [*files, *beside, *trajectories, *topologies]
    options.check_before_work([target], {}, list(map(str, read)), force=force)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        results = [plots.read(file) for file in files]
        below = None if over is None else plots.read_points(over)
        source = plots.Trajectory(list(map(str, trajectories)), list(map(str, topologies)))
        chosen = plots.FigureOptions(temperature, bins, observables, below, colours, source)
        panels = plots.select_panels(plots.panels_of(results, chosen), only)
        figure = plots.draw(panels)
    notes = report.notes(said)
    with whole_files(target, force=force) as (part,):
        plots.save(figure, part, dpi=dpi, command=options.command_line())
    names = [name for name, _ in panels]
    figures = {"file": str(files[0]), "panels": names, "output": str(target)}
    figures |= {"files": list(map(str, files)), "notes": notes}
    report.result(figures, [f"{', '.join(names)}: {target}"], as_json=as_json)
