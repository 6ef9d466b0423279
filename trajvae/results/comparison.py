"""`compare.h5`: held-out evidence of several latent spaces that were trained alike."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from trajvae.dataframes import dataframe
from trajvae.display import Displayed, Summary, scalars
from trajvae.figures import CandidateFigures, ComparisonFigures
from trajvae.frame_weights.weights import WeightSource
from trajvae.results.base import ResultFile, floats, floats_or_nan
from trajvae.store import Contents, Header, Quantity, storable, write_table
from trajvae.store.schema import Tree
from trajvae.typing import Float64, Int64

if TYPE_CHECKING:
    from pandas import DataFrame

FEWEST = 5.0  # independent frames below which a standard error is not to be trusted
_BOUNDS = "mean_bounds"  # attribute with the weighted means of the columns of `bounds`
_KL = "kl_"  # before the names of the parts of the KL divergence


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
class Comparison(ResultFile):
    """Hold candidates side by side.

    Attributes
    ----------
    entries : dict of Entry
        Best first, by the importance-weighted bound.
    rows : ndarray of int64, shape (n,)
        The held-out frames.
    sizes : tuple of int
        Draws of each column of `bounds`.
    weights : WeightSource, optional
        Of the frames: means over them are weighted. What each frame has is its own.
    """

    KIND: ClassVar[str] = "compare"

    entries: dict[str, Entry]
    rows: Int64
    sizes: tuple[int, ...]
    seed: int = 0
    command: str = ""
    weights: WeightSource | None = None

    def _summary(self) -> Summary:
        found = [(name, e.figures) for name, e in self.entries.items()]
        rows = [(name, f.latent_dim, f.elbo, f.iwae, f.behind, f.behind_se, f.rmsd) for name, f in found]
        title = f"Comparison of {', '.join(self.entries)}, best first, by {len(self.rows)} held-out frames"
        return Summary(title, rows, ("", "latent_dim", "elbo", "iwae", "behind", "behind_se", "rmsd"))

    def to_dataframe(self) -> DataFrame:
        """Return a pandas.DataFrame, a row a candidate, best first: its figures, those of the KL divergence by part.

        Raises
        ------
        MissingPackageError
            pandas is not installed.
        """
        rows = []
        for e in self.entries.values():
            parts = {f"{_KL}{part}": nats for part, nats in e.figures.kl.items()}
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
            effective_sample_size=None if self.weights is None else self.weights.effective_sample_size,
        )

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write `/compare/<name>/{elbo,iwae,bounds,effective_draws,rmsd}` with the figures as attributes.

        Parameters
        ----------
        path : str or Path
        force : bool
            Replace an existing file.

        Raises
        ------
        OutputError
            The file exists and `force` is off, or the disk refused.
        """
        groups: dict[str, tuple[Tree, dict[str, object]]] = {}
        for name, e in self.entries.items():
            tree: Tree = {
                "elbo": Quantity(e.elbo, "nat"),
                "iwae": Quantity(e.iwae, "nat"),
                "bounds": Quantity(e.bounds, "nat", attributes={"draws": np.array(self.sizes)}),
                "effective_draws": Quantity(e.effective),
                "rmsd": Quantity(e.rmsd, "Angstrom"),
            }
            marks = {k: v for k, v in e.figures.items() if not isinstance(v, dict | list)}
            marks |= {f"{_KL}{k}": v for k, v in e.figures.kl.items()}
            marks |= {} if self.weights is None else {_BOUNDS: np.array(e.figures.bounds)}
            groups[f"compare/{storable(name).replace('/', '|')}"] = (tree, {**marks, "name": name})
        told = {} if self.weights is None else {"weights": json.dumps(self.weights.to_json())}
        write_table(
            Path(path),
            Header(self.KIND, self.command or "compare", self.seed),
            groups=groups,
            extra={"frame": self.rows},
            attributes={"best": self.best, **told},
            force=force,
        )

    @classmethod
    def _unpack(cls, contents: Contents, path: str) -> Comparison:
        entries: dict[str, Entry] = {}
        behind: dict[str, float] = {}
        sizes: tuple[int, ...] = ()
        for key in contents.tree["compare"]:
            marks = contents.marks[f"compare/{key}"]
            name = str(marks.get("name", key))
            sizes = tuple(int(n) for n in contents.marks[f"compare/{key}/bounds"]["draws"])
            entries[name], behind[name] = _entry(contents, f"compare/{key}", marks), float(marks["behind"])
        best_first = sorted(entries, key=lambda name: behind[name])
        rows = contents.group("trajvae").get("frame", np.empty(0))
        ranked = {name: entries[name] for name in best_first}
        weights = WeightSource.from_json(contents.json("weights"))
        return cls(ranked, np.asarray(rows, dtype=np.int64), sizes, contents.seed, contents.command, weights)


def _entry(contents: Contents, group: str, marks: Mapping[str, Any]) -> Entry:
    """Return a candidate of what was read; arrays that older files lack are NaN."""
    bounds = floats(contents.quantity(f"{group}/bounds"))
    held = contents.group(group)
    names = {"elbo": "elbo", "iwae": "iwae", "effective": "effective_draws", "rmsd": "rmsd"}
    columns = {
        field: floats_or_nan(contents.quantity(f"{group}/{name}") if name in held else None, bounds.shape[:1])
        for field, name in names.items()
    }
    kl = {name.removeprefix(_KL): nats for name, nats in marks.items() if name.startswith(_KL)}
    means = np.asarray(marks.get(_BOUNDS, bounds.mean(axis=0)), dtype=np.float64)
    figures = CandidateFigures.from_json({**marks, "kl": kl, "bounds": means.tolist()})
    return Entry(**columns, bounds=bounds, figures=figures)
