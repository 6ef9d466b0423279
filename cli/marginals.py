"""`trajvae marginals`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from . import options, report

_ROWS = 12
_BLIND = 0.1  # bits: a noise floor that hides what one wants to see


@click.command(cls=options.GroupedCommand, epilog="Example: trajvae marginals traj.dcd -s top.psf")
@options.optional_trajectories
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
    """A row an observable; bonds, angles and pair distances as the mean and the worst of each family."""
    families = {"bond_": "bonds", "angle_": "angles", "distance_": "pair distances"}
    alone = [(k, m) for k, m in found.table.items() if not k.startswith(tuple(families))][:_ROWS]
    lines = [
        f"{found.n} conformations of the model against {found.n} frames; noise floor: those against {found.n} others",
        f"  {'':24s} {'JSD (bits)':>12s} {'noise floor':>12s} {'W1':>8s}",
    ]
    lines += [f"  {k:24s} {m.jsd:12.4f} {m.noise_floor:12.4f} {m.w1:8.3f} {m.unit}" for k, m in alone]
    for prefix, name in families.items():
        members = [m for k, m in found.table.items() if k.startswith(prefix)]
        if members:
            jsd, floor = ([getattr(m, field) for m in members] for field in ("jsd", "noise_floor"))
            n = len(members)
            lines.append(f"  {f'{n} {name}, mean':24s} {sum(jsd) / n:12.4f} {sum(floor) / n:12.4f}")
            lines.append(f"  {f'{n} {name}, worst':24s} {max(jsd):12.4f} {max(floor):12.4f}")
    if found.figures["mean_noise_floor"] > _BLIND:
        lines.append(f"  {found.n} frames are too few to tell: the simulation differs from itself by as much")
    return [*lines, *_told_whole(found), f"histograms of {len(found.table)} observables: {output}"]


def _told_whole(found: Any) -> list[str]:
    """Pair distances beside other floors and other models, and how new the draws are."""
    f = found.figures
    beside = [
        (f"random halves of the simulation, {found.n} frames each", f["mean_random_floor"]),
        (f"held-out blocks against training frames, {f['held_out']} each", f["mean_held_out_floor"]),
        (f"model against training frames, {f['held_out']} each", f["mean_jsd_train"]),
        (f"model against held-out blocks, {f['held_out']} each", f["mean_jsd_held_out"]),
        ("PCA of equal dimension with an isotropic residual", f["mean_jsd_pca"]),
        ("simulated frames drawn once more", f["mean_jsd_resampled"]),
    ]
    return [
        "mean JSD of pair distances, beside the above:",
        *(f"  {text:58s} {value:8.4f}" for text, value in beside),
        f"nearest training frame: {f['nearest']:.3f} Å of RMSD in the median (of held-out frames "
        f"{f['nearest_held_out']:.3f} Å)",
        f"held-out frames with a draw among their neighbours: {100 * f['coverage']:.0f} % "
        f"(with a training frame: {100 * f['coverage_train']:.0f} %)",
    ]
