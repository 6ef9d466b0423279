"""Verdicts on what was made with a model: embeddings of other trajectories, generated conformations, optima."""

from __future__ import annotations

from trajvae.figures import GenerationFigures, OptimizationFigures
from trajvae.figures.training import TrainingFigures
from trajvae.verdict import CARE, UNUSABLE, Reason, Verdict, judged

WORSE, UNKNOWN = 1.5, 2.5  # times the RMSD of held-out frames of the training: care, not usable
INSIDE, HALF = 0.9, 0.5  # share of frames in support: below care, below not usable
VALID, FEW_VALID = 0.9, 0.5  # share of conformations that are valid: below care, below not usable
OFF_DATA = 0.2  # share of latent points off the data


def _model(trained: TrainingFigures) -> Reason | None:
    """The model's own verdict, where that is `not usable`; models of older versions have none."""
    if trained.verdict != UNUSABLE:
        return None
    why = trained.reasons[0]
    return Reason("model_not_usable", UNUSABLE, f"the model itself is not usable: {why.text}", why.step)


def judge_embedding(trained: TrainingFigures, rmsd: float, in_support: float | None) -> Verdict:
    """Return the verdict on an embedding of frames that a model was not trained on.

    Parameters
    ----------
    trained : TrainingFigures
    rmsd : float
        Mean RMSD in Å of the frames to their reconstruction.
    in_support : float or None
        Share of frames in the support of the training frames, where it is known.
    """
    return judged(_model(trained), _strange(trained, rmsd), _outside(in_support))


def _strange(trained: TrainingFigures, rmsd: float) -> Reason | None:
    usual = max(float(trained.rmsd), 1e-6)
    if rmsd < WORSE * usual:
        return None
    text = (
        f"the model does not know these frames: they are reconstructed to {rmsd:.2f} Å, held-out frames of its "
        f"training to {usual:.2f} Å"
    )
    step = "check that atoms and their order are those of the training, or train on these trajectories too"
    return Reason("unknown_frames", UNUSABLE if rmsd >= UNKNOWN * usual else CARE, text, step)


def _outside(in_support: float | None) -> Reason | None:
    if in_support is None or in_support >= INSIDE:
        return None
    text = f"{100 * (1 - in_support):.0f} % of the frames lie outside the support of the training frames"
    step = "leave them out (in_support in the file tells which), or train on these trajectories too"
    return Reason("out_of_support", UNUSABLE if in_support < HALF else CARE, text, step)


def judge_generation(trained: TrainingFigures, found: GenerationFigures) -> Verdict:
    """Return the verdict on generated conformations, from figures of the training and of the drawing."""
    return judged(_model(trained), _invalid(found), _off_data(found))


def _invalid(found: GenerationFigures) -> Reason | None:
    share = found.valid / max(found.n, 1)
    if share >= VALID:
        return None
    text = f"{100 * share:.1f} % of the conformations are valid"
    projected = found.moved is not None
    step = "use the valid ones alone (--valid-only)" if projected else "--project moves draws into valid ranges"
    return Reason("conformations_not_valid", UNUSABLE if share < FEW_VALID else CARE, text, step)


def _off_data(found: GenerationFigures) -> Reason | None:
    if found.off_data <= OFF_DATA:
        return None
    text = f"{100 * found['off_data']:.0f} % of the latent points lie where no simulated frame is"
    way = "--sampler aggregate, which draws where the frames are"
    return Reason("off_data", CARE, text, way if found.sampler != "given" else "points where the frames are")


def judge_optimum(trained: TrainingFigures, found: OptimizationFigures) -> Verdict:
    """Return the verdict on the best structure of an optimisation, from figures of the training and of the search."""
    return judged(_model(trained), _broken(found), _extrapolated(found), _no_better(found))


def _broken(found: OptimizationFigures) -> Reason | None:
    if found.valid:
        return None
    step = "--of mean, which follows averages, or a model of more frames"
    return Reason("optimum_not_valid", UNUSABLE, f"the best structure is not valid ({found['failure']})", step)


def _extrapolated(found: OptimizationFigures) -> Reason | None:
    if found.in_support:
        return None
    text = "the best structure lies outside the support of the training frames"
    return Reason("optimum_out_of_support", CARE, text, "simulate from it, which shows whether it lasts")


def _no_better(found: OptimizationFigures) -> Reason | None:
    if found.better_than_observed or not found.valid:
        return None
    text = f"the best structure is no better than frame {found.best_observed_frame} of the simulation"
    return Reason("no_better_than_simulation", CARE, text, "use that frame")
