"""Which latent space the data ask for: held-out evidence of several, trained alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trajvae.errors import ModelError, OptionError
from trajvae.figures import CandidateFigures
from trajvae.outputs.judging.errors_of_means import influences, mean_error, student
from trajvae.outputs.judging.trials import Trial
from trajvae.results.comparison import Comparison, Entry
from trajvae.typing import Float64, Int64

_FEW = 10.0  # effective draws


def compare_trials(trials: Sequence[Trial]) -> Comparison:
    """Return the comparison of trials, best first; those of one name are repeats.

    Parameters
    ----------
    trials : sequence of Trial

    Raises
    ------
    OptionError
        No trials.
    ModelError
        Models that do not compare: other features, reference, weights or frames.
    """
    if not trials:
        raise OptionError("nothing to compare: name a backend or more")
    _check(trials)
    names = list(dict.fromkeys(t.name for t in trials))
    groups = {name: [t for t in trials if t.name == name] for name in names}
    best = max(names, key=lambda name: np.mean([influences(t.found.iwae, t.weights) for t in groups[name]]))
    entries = {name: _entry(groups[name], groups[best]) for name in names}
    ranked = sorted(names, key=lambda name: -entries[name].figures.iwae)
    first = trials[0]
    return Comparison({name: entries[name] for name in ranked}, first.rows, first.found.sizes, weights=first.source)


def _check(trials: Sequence[Trial]) -> None:
    first = trials[0]
    for other in trials[1:]:
        if other.seal != first.seal:
            raise ModelError(
                f"'{other.name}' and '{first.name}' do not compare: their features, reference or weights differ, "
                "and with them what the ELBO is a density of; train both on the same frames with the same alignment"
            )
        if not np.array_equal(other.rows, first.rows) or other.found.sizes != first.found.sizes:
            raise ModelError(f"'{other.name}' and '{first.name}' do not compare: they held out other frames")


def _entry(group: list[Trial], best: list[Trial]) -> Entry:
    """Means over the trainings; errors over correlated frames and, of repeats, over trainings."""
    elbos, bounds = [t.found.elbo for t in group], [t.found.iwae for t in group]
    return Entry(
        elbo=np.mean(elbos, axis=0),
        iwae=np.mean(bounds, axis=0),
        effective=np.mean([t.found.effective for t in group], axis=0),
        rmsd=np.mean([t.rmsd for t in group], axis=0),
        bounds=np.mean([t.found.bounds for t in group], axis=0),
        figures=_figures(group, best),
    )


def _figures(group: list[Trial], best: list[Trial]) -> CandidateFigures:
    rows, weights, pairs = group[0].rows, group[0].weights, list(zip(best, group, strict=False))
    elbos, bounds = [t.found.elbo for t in group], [t.found.iwae for t in group]
    behind = [b.found.iwae - t.found.iwae for b, t in pairs]
    elbo_behind = [b.found.elbo - t.found.elbo for b, t in pairs]
    behind_se, behind_interval = _error(behind, rows, weights)
    worth = mean_error(np.mean(behind if group[0].name != best[0].name else bounds, axis=0), rows, weights)

    def mean(columns: list[Float64]) -> float:
        """Mean over trainings and frames, these with their weights."""
        return float(np.mean([influences(column, weights) for column in columns]))

    effective = [t.found.effective for t in group]
    return CandidateFigures(
        elbo=mean(elbos),
        iwae=mean(bounds),
        behind=mean(behind),
        elbo_behind=mean(elbo_behind),
        elbo_se=_error(elbos, rows, weights)[0],
        iwae_se=_error(bounds, rows, weights)[0],
        behind_se=behind_se,
        elbo_behind_se=_error(elbo_behind, rows, weights)[0],
        latent_dim=group[0].dim,
        effective_draws=float(np.median(effective)),
        few_effective=float((np.array(effective) < _FEW).mean()),
        rmsd=mean([t.rmsd for t in group]),
        pca_rmsd=mean([t.pca_rmsd for t in group]),
        active_units=float(np.mean([t.active for t in group])),
        kl={part: float(np.mean([t.kl[part] for t in group])) for part in group[0].kl},
        bounds=tuple(mean([t.found.bounds[:, k] for t in group]) for k in range(len(group[0].found.sizes)))
        if weights is not None
        else tuple(np.mean([t.found.bounds for t in group], axis=(0, 1)).tolist()),
        behind_interval=behind_interval,
        correlation_time=worth.correlation_time,
        independent=worth.independent,
        repeats=len(group),
        epochs=float(np.mean([t.epochs for t in group])),
        seconds=float(np.sum([t.seconds for t in group])),
        vamp2=float(np.mean(slow)) if (slow := [t.vamp2 for t in group if t.vamp2 is not None]) else None,
    )


def _error(columns: list[Float64], rows: Int64, weights: Float64 | None) -> tuple[float, float]:
    """Standard error of the mean over frames and trainings, and the half width of its 95 % interval.

    Frames that are correlated count by their autocovariance; trainings count where there are several.
    """
    found = mean_error(np.mean(columns, axis=0), rows, weights)
    if len(columns) < 2:
        return found.value, found.half_width
    trainings = float(np.std([influences(c, weights).mean() for c in columns], ddof=1)) / len(columns) ** 0.5
    return float(np.hypot(found.value, trainings)), float(np.hypot(found.half_width, trainings * student(len(columns))))
