"""`trajvae compare`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import options, report

if TYPE_CHECKING:
    from trajvae.figures import CandidateFigures
    from trajvae.results import Comparison


@click.command(
    cls=options.GroupedCommand,
    epilog="Examples: trajvae compare traj.xtc -s top.gro --backend euclidean --backend hyperspherical "
    "--latent-dim 1,2;  trajvae compare traj.xtc -s top.gro --repeats 3 --jobs 2",
)
@options.trajectories
@options.what_is_read  # its --jobs is the number of trainings at once
@options.weights
@options.comparing
@click.option("--with", "models", multiple=True, type=options.PATH, help="A model trained on these frames, too.")
@click.option("--draws", type=int, default=500, show_default=True, help="Of a posterior, for the bound by importance.")
@click.option("--held-out", type=int, default=1000, show_default=True, help="Frames to judge by, at most.")
@click.option("--repeats", type=int, default=1, show_default=True, help="Trainings of each, with other seeds.")
@click.option("--jobs", type=int, default=1, show_default=True, help="Trainings at once.")
@options.output("compare.h5")
@options.common
def compare(
    trajectories: tuple[str, ...],
    models: tuple[Path, ...],
    draws: int,
    held_out: int,
    repeats: int,
    jobs: int,
    output: Path,
    force: bool,
    as_json: bool,
    **choices: Any,
) -> None:
    """Compare latent spaces by held-out evidence, trained alike on the same frames.

    The importance-weighted bound (IWAE) is the closest to the log-likelihood of frames that no model has seen. Training
    ends after 50 epochs at most unless --epochs says otherwise.
    """
    from trajvae import Model
    from trajvae.comparison import candidates
    from trajvae.comparison import compare as run
    from trajvae.outputs.judging.trials import ComparisonPlan

    names = options.need_trajectories(trajectories)
    options.check_before_work([output], {**choices, "model": None}, [*names, *map(str, models)], force=force)
    common = options.options_given({**choices, "backend": None, "latent_dim": None, "settings": None})
    backends = choices["backends"]
    configs = (
        candidates(backends, choices["latent_dim"], choices["settings"], seed=choices["seed"], **common)
        if backends or not models
        else {}
    )
    found = run(
        names,
        configs,
        reading=options.reading_of(choices),
        plan=ComparisonPlan(draws, held_out, repeats, jobs),
        models={str(path): Model.load(path, choices["device"]) for path in models},
        device=choices["device"],
        progress=report.bar("comparing", "model"),
        weights=options.weights_of(choices),
        temperature=choices["temperature"],
    )
    dataclasses.replace(found, command=options.command_line()).save(output, force=force)
    report.result({**found.figures, "output": str(output)}, _lines(found, output), as_json=as_json)


def _lines(found: Comparison, output: Path) -> list[str]:
    head = f"  {'':20s} {'dim':>3s} {'ELBO':>9s} {'IWAE':>9s} {'behind':>16s} {'KL':>6s} {'active':>6s} {'draws':>6s}"
    slow = f" {'VAMP-2':>6s}" if any(e.figures.vamp2 is not None for e in found.entries.values()) else ""
    lines = [
        f"{len(found.rows)} held-out frames; nats a frame, importance-weighted bound of {found.sizes[-1]} draws; "
        "RMSD in Å",
        f"{head} {'RMSD':>6s} {'PCA':>6s} {'time':>6s}{slow}",
        *(_row(name, entry.figures, best=name == found.best) for name, entry in found.entries.items()),
    ]
    if found.weights is not None:
        lines.append(
            f"means are weighted: all frames are worth {found.weights.effective_sample_size:.1f} of equal weight"
        )
    if len(found.entries) > 1:
        lines += _judgement(found)
    return [*lines, f"each frame's bounds: {output}"]


def _row(name: str, f: CandidateFigures, *, best: bool) -> str:
    behind = "best" if best else f"{f.behind:.3f} +- {f.behind_se:.3f}"
    return (
        f"  {name:20s} {f.latent_dim:3d} {f.elbo:9.3f} {f.iwae:9.3f} {behind:>16s} "
        f"{sum(f.kl.values()):6.2f} {f.active_units:6.1f} {f.effective_draws:6.0f} "
        f"{f.rmsd:6.3f} {f.pca_rmsd:6.3f} {f.seconds:5.0f}s" + ("" if f.vamp2 is None else f" {f.vamp2:6.3f}")
    )


def _judgement(found: Comparison) -> list[str]:
    """Return which is best, what the errors include, and what they do not."""
    others = found.within_error
    verdict = f"; not known to be behind it: {', '.join(others)}" if others else ", beyond the 95 % interval"
    lines = [f"best: {found.best}{verdict}"]
    figures = [e.figures for name, e in found.entries.items() if name != found.best]
    independent, slowest = min(f.independent for f in figures), max(f.correlation_time for f in figures)
    lines.append(
        f"differences are correlated over {slowest:.1f} frames: {len(found.rows)} held-out frames are worth "
        f"{independent:.0f} independent ones" + (", too few to tell candidates apart" if found.few_blocks else "")
    )
    if not found.training_variance:
        ahead = ", ".join(found.behind_over_frames)
        note = f"; over frames alone, these trainings are behind: {ahead}" if ahead else ""
        lines.append(f"trained once each: how much trainings differ is not in the errors (--repeats 3 adds it){note}")
    return lines
