"""`trajvae free-energy`."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trajvae.errors import ReadError, TrajvaeWarning

from .. import grouped, options, report

if TYPE_CHECKING:
    from trajvae.figures import FreeEnergyFigures
    from trajvae.results import Embedding, FreeEnergy, TrainedModel


@click.command(
    "free-energy",
    cls=options.GroupedCommand,
    epilog="Examples: trajvae free-energy embed.h5 --temperature 300;  trajvae free-energy model.h5 --temperature 310 "
    "-o training.h5;  trajvae free-energy embed.h5 --temperature 300 --weights COLVAR --pair z0-z1",
)
@click.argument("file", type=options.PATH, metavar="FILE")
@options.option("--temperature", type=float, required=True, metavar="KELVIN", help="Of the simulation, in K.")
@options.option(
    "--pair",
    "pairs",
    multiple=True,
    metavar="NAME",
    help="Coordinates to draw the free energy over, such as z0-z1, theta0-theta1 or z2 alone; may be repeated.",
    default_text="each curved plane, and each pair of the other coordinates",
)
@options.option("--bins", type=int, help="Cells along a coordinate.", default_text="by the number of frames")
@options.option(
    "--resamples", type=int, default=400, show_default=True, help="Bootstrap samples that errors are made of."
)
@options.input_option(
    "--weights",
    type=options.PATH,
    multiple=True,
    metavar="FILE",
    group=grouped.INPUT,
    help="How much each frame counts: .npy, .npz, text, or a COLVAR file of PLUMED with biases; given several times, "
    "one for each trajectory.",
    default_text="as FILE says, else all frames alike",
)
@options.input_option(
    "--trajectory",
    "trajectories",
    type=options.PATH,
    multiple=True,
    metavar="TRAJ",
    group=grouped.INPUT,
    help="Where the frames that represent basins are read.",
    default_text="the files that FILE names",
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
    default_text="the one that FILE names",
)
@options.output("free_energy.h5")
@options.as_json
@options.no_verify
@options.seed
def free_energy(
    file: Path,
    temperature: float,
    pairs: tuple[str, ...],
    bins: int | None,
    resamples: int,
    weights: tuple[Path, ...],
    trajectories: tuple[Path, ...],
    topologies: tuple[Path, ...],
    output: Path,
    force: bool,
    as_json: bool,
    seed: int,
) -> None:
    """Estimate the free energy on the latent space with its errors, and find its basins.

    FILE is an embed.h5, or a model.h5 for its training frames. Each basin is written as basin_K.pdb beside the output:
    the frame that represents it, read again from the trajectory that FILE names.
    """
    from trajvae.free_energies.estimate import free_energy as estimate_free_energy
    from trajvae.free_energies.structures import remove_others, structure_names, written_before
    from trajvae.results import load_latent_points

    structures = {*structure_names(output.parent, 1), *output.parent.glob("basin_*.pdb")}
    read = list(map(str, [file, *weights, *trajectories, *topologies]))
    options.check_before_work([*sorted(structures), output], {}, read, force=force)
    before = written_before(output)
    points = load_latent_points(file)
    found = estimate_free_energy(
        points,
        temperature=temperature,
        weights=list(weights) or None,
        pairs=list(pairs) or None,
        bins=bins,
        resamples=resamples,
        seed=seed,
        progress=report.bar("resampling", "sample"),
    )
    found = _with_structures(found, points, output, list(map(str, trajectories)), list(map(str, topologies)))
    dataclasses.replace(found, command=options.command_line()).save(output, force=force)
    remove_others(before, found)
    figures = {**found.figures.to_json(), "output": str(output)}
    report.result(figures, _lines(found.figures, output), as_json=as_json)


def _with_structures(
    found: FreeEnergy,
    points: Embedding | TrainedModel,
    output: Path,
    trajectories: list[str],
    topologies: list[str],
) -> FreeEnergy:
    """Write the representatives; where their trajectory cannot be read, say so and go on without them."""
    from trajvae.free_energies.structures import write_representatives

    try:
        return write_representatives(
            found, points, output.parent, trajectories=trajectories, topologies=topologies, force=True
        )
    except ReadError as error:
        if trajectories or topologies:
            raise
        warnings.warn(f"no PDB files of the basins: {error}", TrajvaeWarning, stacklevel=2)
        return found


def _lines(f: FreeEnergyFigures, output: Path) -> list[str]:
    unit = {"ps": "ps"}.get(f.correlation_unit, "frames")
    lines = [
        f"{f.frames} frames, correlation time {f.correlation_time:.3g} {unit}: worth {f.effective_samples:.0f} "
        f"independent frames",
        f"{len(f.basins)} basin{'s' if len(f.basins) != 1 else ''} of {f.basins_of}:",
    ]
    for k, b in enumerate(f.basins):
        frame = f"frame {b.representative.frame}" + (f" of {b.representative.file}" if b.representative.file else "")
        share = f"{100.0 * b.population:.1f} ± {100.0 * b.population_error:.1f} %"
        energy = f"free energy {b.free_energy:.2f} ± {b.error:.2f} kJ/mol"
        lines.append(f"  {k}: {share}, {energy}, represented by {b.representative.structure or frame}")
    smoothing = ", ".join(f"{name} {value:.2f}" for name, value in f.smoothing.items())
    return [
        *lines,
        f"smoothing by the kernels, which is corrected: {smoothing} kJ/mol (root mean square)",
        f"free energy: {output}",
    ]
