"""`trajvae sensitivity`."""

from __future__ import annotations

import dataclasses
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import options, report

if TYPE_CHECKING:
    from trajvae.figures import MovedFigures, SensitivityFigures

_SHOWN = 5  # atoms and residues of each coordinate that are printed


@click.command(
    cls=options.GroupedCommand,
    epilog="Examples: trajvae sensitivity traj.dcd -s top.psf;  trajvae sensitivity traj.dcd -s top.psf -m model.h5 "
    "--step 10 -o moved.h5   (moved_0.pdb, moved_1.pdb, ...)",
)
@options.trajectories
@options.reading
@options.weights
@options.model
@options.output("sensitivity.h5")
@options.as_json
@options.no_verify
def sensitivity(
    trajectories: tuple[str, ...], model: Path | None, output: Path, force: bool, as_json: bool, **choices: Any
) -> None:
    """Measure how much each atom and residue moves each latent coordinate.

    An atom's value is the root mean square, over the frames, of the coordinate's derivative by the atom's position
    times the atom's distance from its mean position; that of a residue is of the sum over its atoms.
    sensitivity_K.pdb beside the output has the atoms' values for coordinate K as B-factors, the largest 100.
    """
    from trajvae.results.sensitivity import structure_names

    names = options.need_trajectories(trajectories, "sensitivity")
    path = model or Path("model.h5")
    options.check_before_work([output], {**choices, "model": path}, names, force=force)
    trained = options.load_model(path, "cpu")
    structures = structure_names(output, trained.pipeline.vae.latent.ambient_dim)
    options.check_before_work(structures, {**choices, "model": path}, names, force=force)
    found = trained.sensitivity(
        names,
        options.reading_of(choices),
        report.bar("differentiating", "frame"),
        weights=options.weights_of(choices),
        temperature=choices["temperature"],
    )
    dataclasses.replace(found, command=options.command_line()).save(output, force=force)
    found.save_structures(output, force=force)
    written = [str(name) for name in structures]
    figures = {**found.figures.to_json(), "structures": written, "output": str(output)}
    lines = sensitivity_lines(found.figures)
    lines.append(f"B-factors: {', '.join(written)}   all values: {output}")
    report.result(figures, lines, as_json=as_json)


def sensitivity_lines(f: SensitivityFigures) -> list[str]:
    """Return a table for each latent coordinate."""
    worth = "" if f.effective_sample_size is None else f" worth {f.effective_sample_size:.1f} of equal weight"
    lines = [f"{f.frames} frames{worth}, {f.atoms} atoms in {f.residues} residues; values in units of each coordinate"]
    for coordinate in f.coordinates:
        lines += _table(coordinate)
    return lines


def _table(c: MovedFigures) -> list[str]:
    """Return the residues and atoms that move a coordinate most, side by side."""
    lines = [f"{c.name}, standard deviation {c.spread:.3g}, is moved most by"]
    for residue, atom in zip_longest(c.residues[:_SHOWN], c.atoms[:_SHOWN]):
        left = f"{residue.name:16s} {residue.value:8.3g}" if residue is not None else " " * 25
        lines.append(f"  {left}   {atom.name:20s} {atom.value:8.3g}")
    return lines
