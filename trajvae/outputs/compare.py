"""Which latent space the data ask for: held-out evidence of several, trained alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trajvae.dataframes import dataframe
from trajvae.display import Displayed, Summary, scalars
from trajvae.errors import ModelError, OptionError
from trajvae.figures import CandidateFigures, ComparisonFigures
from trajvae.outputs.judging.errors_of_means import FEWEST, mean_error, student
from trajvae.outputs.judging.trials import Trial
from trajvae.store import Header, Quantity, storable, write_table
from trajvae.store.schema import Tree
from trajvae.typing import Float64, Int64

_FEW = 10.0  # effective draws


@dataclass(frozen=True, eq=False, repr=False)
class Entry(Displayed):
    """Hold one candidate: means over its trainings of what each frame has, and figures in nats and Å.

    Attributes
    ----------
    elbo, iwae, effective, rmsd : ndarray, shape (n,)
    bounds : ndarray, shape (n, sizes)
    figures : CandidateFigures
    """

    elbo: Float64
    iwae: Float64
    effective: Float64
    rmsd: Float64
    bounds: Float64
    figures: CandidateFigures

    def _summary(self) -> Summary:
        title = f"Entry: importance-weighted bound {self.figures.iwae:.3f} nats a frame, {len(self.iwae)} frames"
        return Summary(title, scalars(self.figures))


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Displayed):
    """Hold candidates side by side.

    Attributes
    ----------
    entries : dict of Entry
        Best first, by the importance-weighted bound.
    rows : ndarray of int64, shape (n,)
        The held-out frames.
    sizes : tuple of int
        Draws of each column of `bounds`.
    """

    entries: dict[str, Entry]
    rows: Int64
    sizes: tuple[int, ...]
    seed: int = 0
    command: str = ""

    @classmethod
    def of(cls, trials: Sequence[Trial]) -> Comparison:
        """Put trials together; those of one name are repeats.

        Raises
        ------
        ModelError
            Models that do not compare: other features, reference, weights or frames.
        """
        if not trials:
            raise OptionError("nothing to compare: name a backend or more")
        _check(trials)
        names = list(dict.fromkeys(t.name for t in trials))
        groups = {name: [t for t in trials if t.name == name] for name in names}
        best = max(names, key=lambda name: np.mean([t.found.iwae for t in groups[name]]))
        entries = {name: _entry(groups[name], groups[best]) for name in names}
        ranked = sorted(names, key=lambda name: -entries[name].figures.iwae)
        return cls({name: entries[name] for name in ranked}, trials[0].rows, trials[0].found.sizes)

    def _summary(self) -> Summary:
        found = [(name, e.figures) for name, e in self.entries.items()]
        rows = [(name, f.latent_dim, f.elbo, f.iwae, f.behind, f.behind_se, f.rmsd) for name, f in found]
        title = f"Comparison of {', '.join(self.entries)}, best first, by {len(self.rows)} held-out frames"
        return Summary(title, rows, ("", "latent_dim", "elbo", "iwae", "behind", "behind_se", "rmsd"))

    def to_dataframe(self) -> Any:
        """Return a pandas.DataFrame, a row a candidate, best first: its figures, those of the KL divergence by part.

        Raises
        ------
        MissingPackageError
            pandas is not installed.
        """
        rows = []
        for e in self.entries.values():
            parts = {f"kl_{part}": nats for part, nats in e.figures.kl.items()}
            rows.append(dict(scalars({**e.figures, **parts})))
        names = dict.fromkeys(name for row in rows for name in row)
        return dataframe({name: [row.get(name, np.nan) for row in rows] for name in names}, list(self.entries), "name")

    @property
    def best(self) -> str:
        """Name of the candidate with the highest importance-weighted bound."""
        return next(iter(self.entries))

    @property
    def training_variance(self) -> bool:
        """Whether every candidate was trained more than once, so that errors know how trainings differ."""
        return all(e.figures.repeats > 1 for e in self.entries.values())

    @property
    def few_blocks(self) -> bool:
        """Whether the held-out frames are worth fewer than five independent ones for any of the differences."""
        others = [e for name, e in self.entries.items() if name != self.best]
        return any(e.figures.independent < FEWEST for e in others)

    @property
    def behind_over_frames(self) -> list[str]:
        """Names of the others that these very trainings put behind the best by more than the 95 % interval."""
        figures = {name: e.figures for name, e in self.entries.items() if name != self.best}
        return [name for name, f in figures.items() if f.behind > f.behind_interval]

    @property
    def different(self) -> list[str]:
        """Names of the others behind the best beyond the errors of frames and trainings; none of one training each."""
        return self.behind_over_frames if self.training_variance and not self.few_blocks else []

    @property
    def within_error(self) -> list[str]:
        """Names of the others that are not known to be behind the best."""
        return [name for name in self.entries if name != self.best and name not in self.different]

    @property
    def figures(self) -> ComparisonFigures:
        """Figures that `compare --json` prints."""
        return ComparisonFigures(
            backends={name: e.figures for name, e in self.entries.items()},
            best=self.best,
            within_error=tuple(self.within_error),
            different=tuple(self.different),
            behind_over_frames=tuple(self.behind_over_frames),
            training_variance=self.training_variance,
            few_blocks=self.few_blocks,
            held_out=len(self.rows),
        )

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write `/compare/<name>/{elbo,iwae,bounds,effective_draws,rmsd}` with the figures as attributes."""
        groups: dict[str, tuple[Tree, dict[str, Any]]] = {}
        for name, e in self.entries.items():
            tree: Tree = {
                "elbo": Quantity(e.elbo, "nat"),
                "iwae": Quantity(e.iwae, "nat"),
                "bounds": Quantity(e.bounds, "nat", attributes={"draws": np.array(self.sizes)}),
                "effective_draws": Quantity(e.effective),
                "rmsd": Quantity(e.rmsd, "Angstrom"),
            }
            marks = {k: v for k, v in e.figures.items() if not isinstance(v, dict | list)}
            marks |= {f"kl_{k}": v for k, v in e.figures.kl.items()}
            groups[f"compare/{storable(name).replace('/', '|')}"] = (tree, {**marks, "name": name})
        write_table(
            Path(path),
            Header("compare", self.command or "compare", self.seed),
            groups=groups,
            extra={"frame": self.rows},
            attributes={"best": self.best},
            force=force,
        )


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
    rows, pairs = group[0].rows, list(zip(best, group, strict=False))
    elbos, bounds = [t.found.elbo for t in group], [t.found.iwae for t in group]
    behind = [b.found.iwae - t.found.iwae for b, t in pairs]
    elbo_behind = [b.found.elbo - t.found.elbo for b, t in pairs]
    behind_se, behind_interval = _error(behind, rows)
    worth = mean_error(np.mean(behind if group[0].name != best[0].name else bounds, axis=0), rows)
    effective = [t.found.effective for t in group]
    return CandidateFigures(
        elbo=float(np.mean(elbos)),
        iwae=float(np.mean(bounds)),
        behind=float(np.mean(behind)),
        elbo_behind=float(np.mean(elbo_behind)),
        elbo_se=_error(elbos, rows)[0],
        iwae_se=_error(bounds, rows)[0],
        behind_se=behind_se,
        elbo_behind_se=_error(elbo_behind, rows)[0],
        latent_dim=group[0].dim,
        effective_draws=float(np.median(effective)),
        few_effective=float((np.array(effective) < _FEW).mean()),
        rmsd=float(np.mean([t.rmsd for t in group])),
        pca_rmsd=float(np.mean([t.pca_rmsd for t in group])),
        active_units=float(np.mean([t.active for t in group])),
        kl={part: float(np.mean([t.kl[part] for t in group])) for part in group[0].kl},
        bounds=tuple(np.mean([t.found.bounds for t in group], axis=(0, 1)).tolist()),
        behind_interval=behind_interval,
        correlation_time=worth.correlation_time,
        independent=worth.independent,
        repeats=len(group),
        epochs=float(np.mean([t.epochs for t in group])),
        seconds=float(np.sum([t.seconds for t in group])),
    )


def _error(columns: list[Float64], rows: Int64) -> tuple[float, float]:
    """Standard error of the mean over frames and trainings, and the half width of its 95 % interval.

    Frames that are correlated count by their autocovariance; trainings count where there are several.
    """
    found = mean_error(np.mean(columns, axis=0), rows)
    if len(columns) < 2:
        return found.value, found.half_width
    trainings = float(np.std([c.mean() for c in columns], ddof=1)) / len(columns) ** 0.5
    return float(np.hypot(found.value, trainings)), float(np.hypot(found.half_width, trainings * student(len(columns))))
