"""`trajvae export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from trajvae.choices import ENGINES, PRECISIONS, UNITS

from .. import options, report

if TYPE_CHECKING:
    from trajvae.figures import ExportFigures


@click.command(
    cls=options.GroupedCommand,
    epilog="Examples: trajvae export --to plumed -s system.gro;  trajvae export --to colvars -s system.psf;  "
    "trajvae export -m model.h5 --dtype float64   (cv.pt and cv.pt2 alone)",
)
@click.option(
    "--to",
    "engine",
    type=click.Choice(ENGINES),
    default=ENGINES[0],
    show_default=True,
    help="Beside cv.pt (TorchScript) and cv.pt2 (torch.export), write plumed.dat, colvars.in, or nothing more.",
)
@options.input_option(
    "-s",
    "--topology",
    type=options.PATH,
    metavar="FULL",
    help="Topology of the whole simulation, in which the model's atoms are found by name and residue; PLUMED and "
    "Colvars count its atoms.",
)
@options.model
@click.option(
    "--unit",
    type=click.Choice(UNITS),
    help="Of the positions that the coordinate takes; nm for PLUMED unless said otherwise, and Å for others.",
)
@click.option(
    "--dtype",
    type=click.Choice(PRECISIONS),
    default=PRECISIONS[0],
    show_default=True,
    help="Precision of the network's layers; the rest is computed in float64.",
)
@options.output_option(
    "-o", "--output", type=options.PATH, default="export", show_default=True, help="Folder to write; made if missing."
)
@options.output_option("-f", "--force", is_flag=True, help="Replace files of these names in the folder.")
@options.as_json
@options.no_verify
def export(
    engine: str,
    topology: Path | None,
    model: Path | None,
    unit: str | None,
    dtype: str,
    output: Path,
    force: bool,
    as_json: bool,
) -> None:
    """Write the latent mean as a coordinate that engines load and bias.

    The folder holds programs that run without trajvae, an input file for the engine with the atoms' numbers in the
    simulation, the topology of the selected atoms, and cv.json, which says units, ranges, atoms and versions.
    """
    from trajvae.export import export as export_model
    from trajvae.export.folder import check_folder

    check_folder(output, engine, force=force)
    trained = options.load_model(model, "cpu")
    made = export_model(trained, engine, topology=topology, unit=unit, dtype=dtype)
    made.save(output, force=force)
    report.result({**made.figures.to_json(), "output": str(output)}, _lines(made.figures, output), as_json=as_json)


def _lines(f: ExportFigures, output: Path) -> list[str]:
    """Return what was written, and the range of each component."""
    ranges = [
        f"  {c.name}: {c.low:.4g} to {c.high:.4g} over the training frames, width {c.width:.3g}; "
        f"changes by {c.slope:.2g} per Å in the median, by {c.steepest:.2g} at most"
        for c in f.outputs
    ]
    unit = "Å" if f.unit == "angstrom" else f.unit
    return [
        f"latent mean of {f.atoms} atoms as {len(f.outputs)} coordinates; positions in {unit}, layers in {f.dtype}",
        *ranges,
        f"written to {output}: {', '.join(f.files)}",
    ]
