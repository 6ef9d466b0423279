"""`trajvae marginals`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trajvae.display import unit_symbol
from trajvae.figures import DivergenceFigures

from .. import options, report

if TYPE_CHECKING:
    from trajvae.results import Kind, Marginals
    from trajvae.typing import JSON


@click.command(cls=options.GroupedCommand, epilog="Example: trajvae marginals traj.dcd -s top.psf")
@options.optional_trajectories
@options.reading
@options.weights
@options.geometry
@options.model
@options.output("marginals.h5")
@options.scheduler
@options.common
def marginals(
    trajectories: tuple[str, ...], model: Path | None, output: Path, force: bool, as_json: bool, **choices: Any
) -> None:
    """Compare simulation and model, observable by observable.

    Every divergence stands beside its noise floor: the same figure between two halves of the simulation. Bonds, angles,
    torsions, pair distances and the like are judged each by themselves, the worst first. Without a trajectory, the
    frames that the model keeps are taken.
    """
    options.check_before_work([output], {**choices, "model": model or Path("model.h5")}, trajectories, force=force)
    trained = options.load_model(model, choices["device"])
    source = list(trajectories) or None
    found = trained.marginals(
        source,
        options.reading_of(choices),
        seed=choices["seed"],
        geometry=choices["geometry"],
        weights=options.weights_of(choices),
        temperature=choices["temperature"],
        cluster=options.cluster_of(choices["scheduler"]),
    )
    dataclasses.replace(found, command=options.command_line()).save(output, force=force)
    report.result(_json(found, output), _lines(found, output), as_json=as_json)


def _json(found: Marginals, output: Path) -> dict[str, JSON]:
    """Return what `--json` prints: the divergences of each observable, means, and a verdict on each kind."""
    table = {name: DivergenceFigures(jsd=m.jsd, w1=m.w1, noise_floor=m.noise_floor) for name, m in found.table.items()}
    return {
        "observables": {name: divergences.to_json() for name, divergences in table.items()},
        **found.figures.to_json(),
        "frames": found.n,
        "output": str(output),
        "kinds": [dataclasses.asdict(kind) for kind in found.kinds],
    }


def _lines(found: Marginals, output: Path) -> list[str]:
    """Return a row a kind of observables, the worst first, with its worst observable; and what the verdicts mean."""
    from trajvae.outputs.judging.observable_kinds import VERDICTS

    known = [kind.verdict for kind in found.kinds]
    return [
        _sizes(found),
        *_table(found.kinds),
        *(f"  {verdict}: {text}" for verdict, text in VERDICTS.items() if verdict in known),
        *_baseline_lines(found),
        f"histograms of {len(found.table)} observables: {output}",
    ]


def _sizes(found: Marginals) -> str:
    """Return how many frames and conformations are compared."""
    n, f = found.n, found.figures
    if f.draws is None or f.effective_sample_size is None:
        return f"{n} conformations of the model against {n} frames; floor: those against {n} others"
    return (
        f"{f.draws} conformations of the model against {n} frames; floor: those against {n} others; with their weights "
        f"all frames are worth {f.effective_sample_size:.1f}"
    )


def _table(kinds: Sequence[Kind]) -> list[str]:
    """Return divergences in bits: means of each kind, and of its worst observable, which is named."""
    head = f"  {'JSD in bits':22s} {'mean':>7s} {'floor':>7s}  {'verdict':14s}  {'worst':>7s} {'floor':>7s} {'W1':>9s}"
    lines = [head]
    for k in kinds:
        title = f"{k.count} {k.kind}" if k.count > 1 else k.kind
        row = f"  {title:22s} {k.jsd:7.4f} {k.noise_floor:7.4f}  {k.verdict:14s}  {k.worst_jsd:7.4f} "
        row += f"{k.worst_noise_floor:7.4f} {k.worst_w1:7.3f} {unit_symbol(k.unit)}"
        lines.append(f"{row}  {k.worst}{': ' if k.worst_atoms else ''}{k.worst_atoms}")
    return lines


def _baseline_lines(found: Marginals) -> list[str]:
    """Return pair distances beside other floors and other models, and how new the draws are."""
    f = found.figures
    beside = [
        (f"random halves of the simulation, {found.n} frames each", f.mean_random_floor),
        (f"held-out blocks against training frames, {f.held_out} each", f.mean_held_out_floor),
        (f"model against training frames, {f.held_out} each", f.mean_jsd_train),
        (f"model against held-out blocks, {f.held_out} each", f.mean_jsd_held_out),
        ("PCA of equal dimension with an isotropic residual", f.mean_jsd_pca),
        ("simulated frames drawn once more", f.mean_jsd_resampled),
    ]
    return [
        "mean JSD of pair distances, beside the above:",
        *(f"  {text:58s} {value:8.4f}" for text, value in beside),
        f"nearest training frame: {f.nearest:.3f} Å of RMSD in the median (of held-out frames "
        f"{f.nearest_held_out:.3f} Å)",
        f"held-out frames with a draw among their neighbours: {100 * f.coverage:.0f} % "
        f"(with a training frame: {100 * f.coverage_train:.0f} %)",
    ]
