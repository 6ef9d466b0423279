"""`trajvae marginals`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from . import options, report

_ROWS = 12


@click.command(epilog="Example: trajvae marginals traj.dcd -s top.psf")
@options.trajectories
@options.reading
@options.model
@options.output("marginals.h5")
@options.common
def marginals(
    trajectories: tuple[str, ...], model: Path | None, output: Path, force: bool, as_json: bool, **choices: Any
) -> None:
    """Simulation against model, observable by observable.

    Every divergence stands beside its noise floor: the same figure between two halves of the simulation. Without a
    trajectory, the frames that the model keeps are taken.
    """
    options.ready([output], {**choices, "model": model or Path("model.h5")}, trajectories, force=force)
    trained = options.load_model(model, choices["device"])
    source = list(trajectories) or None
    found = trained.marginals(source, options.reading_of(choices), seed=choices["seed"])
    dataclasses.replace(found, command=options.command_line()).save(output, force=force)
    table = {k: {"jsd": m.jsd, "w1": m.w1, "noise_floor": m.noise_floor} for k, m in found.table.items()}
    figures = {"observables": table, **found.figures, "frames": found.n, "output": str(output)}
    report.result(figures, _lines(found, output), as_json=as_json)


def _lines(found: Any, output: Path) -> list[str]:
    from trajvae.observables import PAIR_PREFIX

    shown = [(k, m) for k, m in found.table.items() if not k.startswith(PAIR_PREFIX)]
    shown = [row for row in shown if not row[0].startswith(("bond_", "angle_"))][:_ROWS]
    lines = [f"{found.n} frames of each   JSD (bits)   noise floor   W1"]
    lines += [f"  {k:18s} {m.jsd:10.4f} {m.noise_floor:13.4f}   {m.w1:.3f} {m.unit}" for k, m in shown]
    means = found.figures
    lines.append(f"  {'all pair distances':18s} {means['mean_jsd']:10.4f} {means['mean_noise_floor']:13.4f}   (means)")
    return [*lines, f"histograms of {len(found.table)} observables: {output}"]
