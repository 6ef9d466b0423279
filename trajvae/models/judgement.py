"""The verdict on a training: whether its figures allow the model to be trusted."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from trajvae.errors import TrajvaeWarning
from trajvae.verdict import CARE, UNUSABLE, Reason, Verdict, judged

FEWEST, FEW, ENOUGH = 30, 200, 1000  # frames: not usable below, care below, and how many would do
OVERFITTED, MEMORISED = 1.5, 4.0  # RMSD of held-out over that of training frames: care, not usable
MOST = 0.8  # share of draws that are valid: care below
SPREAD = 0.2  # by which the spread of draws may differ from the simulation's
NOVELTY = 0.7  # distance of draws to the nearest training frame, over that of held-out frames: care below
JUMP, VISIBLE = 1.5, 0.3  # times the optimal jump between neighbours, and Å beyond it: a seam of the alignment
CROSSINGS, DRIFT = 2, 0.8  # at most, and at least, of the first principal component: one-way; see `drift_of`
APART, LOOSE = 5.0, 2.0  # Å, and times the motion within molecules: molecules that move on their own
_ROUNDING = 1e-6  # of RMSDs: a model may be principal components
ORDER, ATOMS = 3.0, 20  # ratio of next-in-file to nearest distance, not usable above; least number of atoms


@dataclass(frozen=True)
class SampleMeasures:
    """Hold what is measured on the frames that a model keeps, and on its draws.

    Attributes
    ----------
    draws_valid : float
        Share of draws that are valid.
    spread : float
        Mean square deviation of draws from their mean, divided by that of training frames: the ratio of total
        variances.
    mean_rmsd : float
        Mean RMSD in Å of held-out frames to the mean structure.
    drift : float
        Rank correlation of the first principal component with time, without its sign; 0 for several files.
    crossings : int
        How often that component passes between its outer quarters.
    molecules : int
        Number of separate molecules.
    apart : float
        Root mean square motion in Å of the molecules' centres; 0 for one molecule.
    within : float
        Root mean square motion in Å of atoms about their molecule's centre.
    order : float
        Median distance of neighbours in the file, divided by that of nearest atoms.
    spectrum : tuple of float
        Ratios of the first ten eigenvalues of the covariance of draws to those of training frames, largest first.
    novelty : float
        Median RMSD of draws to the nearest training frame, divided by that of held-out frames.
    """

    draws_valid: float
    spread: float
    mean_rmsd: float
    drift: float
    crossings: int
    molecules: int
    apart: float
    within: float
    order: float
    spectrum: tuple[float, ...] = ()
    novelty: float = 1.0


@dataclass(frozen=True)
class TrainingEvidence:
    """Hold the figures that decide the verdict on a training.

    Attributes
    ----------
    trained : int
        Number of frames that the networks learned from.
    rmsd, train_rmsd, pca_rmsd : float
        Mean RMSD in Å of held-out frames and of training frames to their reconstruction, and of held-out frames to that
        by as many principal components.
    collapsed : bool
        Whether no latent dimension is in use.
    unlike : int
        Number of held-out blocks that are unlike all frames elsewhere.
    jump, least : float or None
        Largest RMSD between neighbouring frames in Å, as aligned and as optimally superposed.
    atoms : int
    feature_kind : str
    sample : SampleMeasures
    """

    trained: int
    rmsd: float
    train_rmsd: float
    pca_rmsd: float
    collapsed: bool
    unlike: int
    jump: float | None
    least: float | None
    atoms: int
    feature_kind: str
    sample: SampleMeasures


def judge_training(e: TrainingEvidence) -> Verdict:
    """Return the verdict on a training."""
    return judged(
        _frames(e),
        _molecules(e.sample),
        _order(e),
        _collapsed(e),
        _nothing(e),
        _principal(e),
        _overfitted(e),
        _draws(e),
        _spread(e.sample),
        _copies(e.sample),
        _one_way(e.sample),
        _unlike(e),
        _seam(e),
    )


def _frames(e: TrainingEvidence) -> Reason | None:
    if e.trained >= FEW:
        return None
    severity = UNUSABLE if e.trained < FEWEST else CARE
    text = f"too few frames: the model learned from {e.trained}; {ENOUGH} would do"
    return Reason("too_few_frames", severity, text, "take every frame (no --step), more trajectories or a longer run")


def _molecules(m: SampleMeasures) -> Reason | None:
    if m.molecules < 2 or m.apart < APART or m.apart < LOOSE * m.within:
        return None
    text = (
        f"{m.molecules} separate molecules were taken as one body: their centres move by {m.apart:.0f} Å against each "
        f"other, the atoms of each molecule by {m.within:.1f} Å about its centre"
    )
    return Reason("separate_molecules", UNUSABLE, text, "choose one molecule with --select, such as --select 'segid A'")


def _order(e: TrainingEvidence) -> Reason | None:
    if e.atoms < ATOMS or e.sample.order < ORDER:
        return None
    text = (
        "the order of the atoms does not follow the molecule: neighbours in the file are "
        f"{e.sample.order:.1f} times as far apart as nearest atoms"
    )
    step = "check that topology and trajectory have the same atoms in the same order (-s)"
    return Reason("atom_order", UNUSABLE, text, step)


def _collapsed(e: TrainingEvidence) -> Reason | None:
    if not e.collapsed:
        return None
    text = "the latent space has collapsed: its coordinates say nothing of a frame"
    step = "--features cartesian" if e.feature_kind == "internal" else "--free-bits 4, or --likelihood isotropic"
    return Reason("collapsed", UNUSABLE, text, step)


def _nothing(e: TrainingEvidence) -> Reason | None:
    if e.rmsd < e.sample.mean_rmsd or e.collapsed:
        return None
    text = (
        f"held-out frames are reconstructed no better ({e.rmsd:.2f} Å) than by the mean structure "
        f"({e.sample.mean_rmsd:.2f} Å)"
    )
    step = "--features cartesian" if e.feature_kind == "internal" else "more frames, or more --latent-dim"
    return Reason("explains_nothing", UNUSABLE, text, step)


def _principal(e: TrainingEvidence) -> Reason | None:
    if e.rmsd <= (1.0 + _ROUNDING) * e.pca_rmsd:
        return None
    text = (
        f"no better than principal components: held-out frames are reconstructed to {e.rmsd:.3f} Å, by as many "
        f"principal components to {e.pca_rmsd:.3f} Å"
    )
    step = "--features cartesian" if e.feature_kind == "internal" else "more frames; or use principal components"
    return Reason("no_better_than_pca", CARE, text, step)


def _overfitted(e: TrainingEvidence) -> Reason | None:
    ratio = e.rmsd / max(e.train_rmsd, 1e-6)
    if ratio < OVERFITTED:
        return None
    text = (
        f"overfitted: held-out frames are reconstructed to {e.rmsd:.2f} Å, those that the model learned from to "
        f"{e.train_rmsd:.2f} Å"
    )
    return Reason("overfitted", UNUSABLE if ratio >= MEMORISED else CARE, text, "more frames, or fewer --latent-dim")


def _draws(e: TrainingEvidence) -> Reason | None:
    if e.sample.draws_valid >= MOST:
        return None
    text = f"{100 * e.sample.draws_valid:.0f} % of its draws are valid conformations as drawn"
    long = e.feature_kind == "internal" or e.atoms > 100
    step = "generate --project moves draws into the simulation's ranges" if long else "--features internal"
    return Reason("draws_not_valid", CARE, text, step)


def _spread(m: SampleMeasures) -> Reason | None:
    if abs(m.spread - 1.0) <= SPREAD:
        return None
    text = f"draws fluctuate {m.spread:.2f} times as much as the simulation (mean square)"
    return Reason("spread_wrong", CARE, text, "generate --sampler aggregate, which draws where the frames are")


def warn_of_spread(spread: float) -> None:
    """Warn where draws fluctuate by a fifth less or more than the simulation: whoever draws need not read a verdict.

    Parameters
    ----------
    spread : float
        Ratio of total variances; see `SampleMeasures`.

    Warns
    -----
    TrajvaeWarning
    """
    if abs(spread - 1.0) > SPREAD:
        less = "less" if spread < 1.0 else "more"
        warnings.warn(
            f"draws fluctuate {spread:.2f} times as much as the simulation (mean square): ensembles of them are "
            f"{less} spread than it; 'trajvae marginals' tells which observables are wrong, and --sampler aggregate, "
            "more epochs or more frames are ways out",
            TrajvaeWarning,
            stacklevel=2,
        )


def _copies(m: SampleMeasures) -> Reason | None:
    if m.novelty >= NOVELTY:
        return None
    text = f"draws are near copies of training frames: {m.novelty:.2f} times as far from the nearest as new frames are"
    return Reason("draws_copy_frames", CARE, text, "more frames, fewer --latent-dim, or --likelihood isotropic")


def _one_way(m: SampleMeasures) -> Reason | None:
    if m.drift < DRIFT or m.crossings > CROSSINGS:
        return None
    text = (
        f"one-way: the largest motion goes from one end to the other and crosses its middle {_times(m.crossings)}, so "
        "populations and free energies mean nothing"
    )
    return Reason("one_way", CARE, text, "use the latent space for paths alone, or simulate the way back too")


def _times(n: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(n, f"{n} times")


def _unlike(e: TrainingEvidence) -> Reason | None:
    if not e.unlike:
        return None
    text = f"{e.unlike} held-out blocks are unlike all frames elsewhere: the simulation may not be converged"
    return Reason("unlike_blocks", CARE, text, "a longer run, or leave them out with --start and --stop")


def _seam(e: TrainingEvidence) -> Reason | None:
    if e.jump is None or e.least is None or e.jump < max(JUMP * e.least, e.least + VISIBLE):
        return None
    text = f"alignment jumps: neighbouring frames come to lie {e.jump:.2f} Å apart where {e.least:.2f} Å is optimal"
    return Reason("alignment_jumps", CARE, text, "--features internal, which needs no alignment")
