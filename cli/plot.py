"""`trajvae plot`."""

from __future__ import annotations

from pathlib import Path

import click

from . import options, report


@click.command(
    cls=options.GroupedCommand,
    epilog="Examples: trajvae plot embed.h5 --temperature 310;  trajvae plot path.h5md --over embed.h5 -o path.pdf;  "
    "trajvae plot marginals.h5 --observable rg --only marginal -o rg.svg",
)
@click.argument("file", type=options.PATH)
@options.output_option(
    "-o", "--output", type=options.PATH, help="File to write: .png, .svg or .pdf.", default_text="FILE's name.png"
)
@options.output_option("-f", "--force", is_flag=True, help="Replace the output if it exists.")
@click.option("--temperature", type=float, default=300.0, show_default=True, help="Of the simulation, in K.")
@options.option(
    "--bins", type=int, help="Cells of a free energy along an axis.", default_text="by the number of points"
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
@click.option(
    "--over", type=options.PATH, help="embed.h5 or model.h5: its free energy below a path or an optimisation."
)
@click.option("--dpi", type=click.FloatRange(20, 1200), default=300, show_default=True, help="Dots an inch.")
@options.as_json
def plot(
    file: Path,
    output: Path | None,
    force: bool,
    temperature: float,
    bins: int | None,
    observables: tuple[str, ...],
    only: tuple[str, ...],
    over: Path | None,
    dpi: float,
    as_json: bool,
) -> None:
    """A figure of what one of trajvae's files holds.

    Latent coordinates in time and their free energy, of embed.h5; how a training went, of model.h5; simulation against
    model, of marginals.h5; conformations, optimisations, paths and comparisons, of theirs. Every panel is a function of
    trajvae.plots.
    """
    from trajvae import plots
    from trajvae.store import check_outputs, whole_files

    target = output or Path(f"{file.stem}.png")
    plots.check_format(target)
    check_outputs([target], force=force, inputs=[file, *([over] if over else [])])
    below = None if over is None else plots.read_points(over)
    look = plots.Look(temperature, bins, observables, below)
    panels = plots.chosen(plots.panels_of(plots.read(file), look), only)
    figure = plots.draw(panels)
    with whole_files(target, force=force) as (part,):
        plots.save(figure, part, dpi=dpi, command=options.command_line())
    names = [name for name, _ in panels]
    figures = {"file": str(file), "panels": names, "output": str(target)}
    report.result(figures, [f"{', '.join(names)}: {target}"], as_json=as_json)
