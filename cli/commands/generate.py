"""`trajvae generate`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trajvae.choices import AUTO, SAMPLERS

from .. import options, report

if TYPE_CHECKING:
    from trajvae.figures import GenerationFigures

_MANY = 0.98  # of draws that are valid as drawn


@click.command(
    cls=options.GroupedCommand,
    epilog="Examples: trajvae generate -n 1000 -o new.h5md   (opens in MDAnalysis with new.pdb, and in mdtraj);  "
    "trajvae generate -n 1000 -o new.xtc   (new.xtc with new.pdb opens anywhere; new.h5md keeps the numbers);  "
    "trajvae generate -n 100 --at 0.5,-1.2 --at 1.0,-1.2 -o windows.h5md   (100 at each of two latent points)",
)
@click.option(
    "-n",
    "--number",
    type=int,
    default=1000,
    show_default=True,
    help="How many conformations; with --at, at each point.",
)
@click.option("--mean", is_flag=True, help="Decode the mean of p(x|z) instead of drawing from it.")
@click.option(
    "--sampler",
    default="auto",
    show_default=True,
    metavar=options.one_of((AUTO, *SAMPLERS)),
    help="Where latent points come from: prior, aggregate (posteriors of simulated frames), metric (Hamiltonian Monte "
    "Carlo where posteriors are; flat latent spaces), or auto: prior, but aggregate where much of the prior is empty.",
)
@click.option(
    "--at",
    multiple=True,
    metavar="Z,...|FILE",
    help="Draw at this latent point, instead of at points of a sampler; may be repeated. Or a file of points (.npy, or "
    "text with one a line).",
)
@click.option(
    "--redraws",
    type=int,
    default=2,
    show_default=True,
    help="Draw x again at the same z where it is not valid, at most.",
)
@click.option("--project", is_flag=True, help="Move draws into the simulation's ranges of bonds, angles and contacts.")
@click.option("--valid-only", is_flag=True, help="Go on until N are valid.")
@click.option(
    "--budget", type=int, default=50, show_default=True, help="Draws for each of N, at most, with --valid-only."
)
@click.option("--relax", is_flag=True, help="Minimise what is kept in a force field (Amber14, OBC2; needs OpenMM).")
@click.option("--novelty", is_flag=True, help="Say how far each is from the nearest simulated frame.")
@options.geometry
@options.model
@options.structures("generate.h5md")
@options.scheduler
@options.common
def generate(
    number: int,
    mean: bool,
    sampler: str,
    at: tuple[str, ...],
    novelty: bool,
    model: Path | None,
    output: Path,
    force: bool,
    seed: int,
    device: str,
    as_json: bool,
    redraws: int,
    project: bool,
    valid_only: bool,
    budget: int,
    relax: bool,
    geometry: str,
    scheduler: str | None,
) -> None:
    """Draw new conformations from the model."""
    from trajvae.errors import OptionError
    from trajvae.outputs.drawing.given_points import read_points
    from trajvae.results.conformation_pieces import conformation_files

    if number < 1:
        raise OptionError(f"-n must be 1 or more, got {number}")
    points = read_points(at) if at else None
    options.check_before_work(conformation_files(output), {"model": model or Path("model.h5")}, [], force=force)
    trained = options.load_model(model, device)
    drawing = trained.drawing(
        number,
        seed=seed,
        mean=mean,
        sampler=sampler,
        novelty=novelty,
        at=points,
        progress=report.bar("generating", "conformation"),
        redraws=redraws,
        project=project,
        valid_only=valid_only,
        budget=budget,
        relax=relax,
        geometry=geometry,
        cluster=options.cluster_of(scheduler),
    )
    found = drawing.save(output, force=force, command=options.command_line())
    lines = [
        f"{found.n} conformations, {found.valid} of them valid ({100 * found.valid / found.n:.1f} %; of held-out "
        f"simulated frames {100 * trained.figures.held_out_valid:.1f} %)",
        *_repair_lines(found),
        _sampler_line(found),
        *_energy_lines(found),
        *_advice(found, drawing.reasons, mean, trained.config.features),
        *found.verdict_lines(),
        f"positions: {options.written(output)}",
    ]
    report.result({**found.to_json(), "output": str(output)}, lines, as_json=as_json)


def _repair_lines(f: GenerationFigures) -> list[str]:
    """Return how many were valid as drawn, and what was done about the others."""
    if f.valid_raw == f.drawn:
        return []
    text = f"valid as drawn: {f.valid_raw} of {f.drawn}"
    if f.moved is not None:
        text += f"; projected, by {f.moved:.3f} Å of RMSD in the mean"
    if f.redrawn:
        text += f"; drawn again: {f.redrawn}"
    return [text]


def _energy_lines(f: GenerationFigures) -> list[str]:
    """Return energies and distances to simulated frames, where they were asked for."""
    lines = []
    if f.energy is not None and f.energy_drawn is not None:
        lines.append(f"relaxed: potential energy {f.energy:.0f} kJ/mol in the median, {f.energy_drawn:.0f} as drawn")
    if f.nearest_rmsd is not None:
        lines.append(f"nearest frame that the model keeps: {f.nearest_rmsd:.3f} Å of RMSD in the median")
    return lines


def _sampler_line(f: GenerationFigures) -> str:
    """Return where latent points came from, and how well they were drawn."""
    where = "given points" if f.sampler == "given" else f"sampler {f.sampler}"
    text = f"{where}: {100 * f.off_data:.1f} % of latent points off the data"
    if f.acceptance is not None and f.effective_sample_size is not None:
        text += f", acceptance {100 * f.acceptance:.0f} %, worth {f.effective_sample_size:.0f} independent draws"
    return text


def _advice(f: GenerationFigures, reasons: Mapping[str, int], mean: bool, features: str) -> list[str]:
    """Return what to do where draws are no molecules."""
    from trajvae.molecule.validity import REASONS

    if f.valid * 2 > f.n:
        some = f.geometry == "none" and f.valid_raw < _MANY * f.drawn
        return ["--geometry simulated gives them the bonds, angles and torsions of the simulation"] if some else []
    counts = ", ".join(f"{reasons[name]} {name}" for name in REASONS[1:] if reasons.get(name))
    way = "; --geometry simulated restores bonds and angles" if f.geometry == "none" else ""
    way += "" if mean else "; --project moves draws into the allowed ranges, --mean decodes averages"
    if features == "cartesian":
        way += "; 'trajvae train --features auto' may suit the molecule better"
    return [f"most are not valid (first failure: {counts}){way}"]
