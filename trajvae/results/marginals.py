"""`marginals.h5`: histograms of every observable, of the simulation and of the model, and how they differ."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from trajvae.dataframes import dataframe
from trajvae.display import Displayed, Summary, scalars
from trajvae.figures import MarginalFigures
from trajvae.frame_weights.weights import WeightSource
from trajvae.results.base import ResultFile
from trajvae.store import Contents, Header, Quantity, write_table
from trajvae.store.contents import NestedArrays
from trajvae.store.schema import Tree
from trajvae.typing import AnyArray, Float64, JSONObject

if TYPE_CHECKING:
    from pandas import DataFrame

_FIGURES = ("jsd", "w1", "ks", "noise_floor", "w1_floor", "ks_floor", "beyond")
_DRAWN = ("jsd", "noise_floor")  # figures without which there is nothing to draw


class Wide(NamedTuple):
    """Hold histograms (50,) as in `Marginal`, in bins that cover the model as well, for drawing."""

    edges: Float64
    simulation: Float64
    model: Float64
    second: Float64
    pca: Float64


@dataclass(frozen=True, eq=False, repr=False)
class Marginal(Displayed):
    """Hold one observable's histograms and figures.

    Attributes
    ----------
    unit : str
    edges : ndarray, shape (51,)
    simulation, model : ndarray, shape (50,)
        Probability of each bin, of A and of the model.
    jsd, w1, ks : float
        Jensen-Shannon divergence in bits, Wasserstein-1 distance in the unit, Kolmogorov-Smirnov statistic.
    noise_floor, w1_floor, ks_floor : float
        The same between A and B.
    others : dict of float
        Divergences in bits of other pairs of sets, in the same bins: `random_floor` of random halves, `held_out_floor`,
        `jsd_train` and `jsd_held_out` of held-out and training frames and the model, `jsd_pca` and `jsd_resampled`.
    second, pca : ndarray, shape (50,), optional
        As `simulation`, of B, and of PCA with an isotropic residual.
    beyond : float
        Share of the model's draws that lie beyond the edges, which cover the simulation. They are counted in the
        outermost two bins.
    wide : Wide, optional
        Where half a percent or more of the model, or of PCA, lies beyond the edges.
    """

    unit: str
    edges: Float64
    simulation: Float64
    model: Float64
    jsd: float
    w1: float
    ks: float
    noise_floor: float
    w1_floor: float
    ks_floor: float
    others: dict[str, float] = field(default_factory=dict)
    second: Float64 | None = None
    pca: Float64 | None = None
    beyond: float = 0.0
    wide: Wide | None = None

    def _summary(self) -> Summary:
        title = f"Marginal ({self.unit or 'no unit'}): JSD {self.jsd:.4f} bits, noise floor {self.noise_floor:.4f}"
        return Summary(title, scalars({**vars(self), **self.others}))


@dataclass(frozen=True)
class Kind:
    """Hold the figures of the observables of one kind.

    Attributes
    ----------
    kind : str
        Such as `bonds`.
    count : int
        Number of observables of this kind.
    jsd, noise_floor : float
        Means over them of Jensen-Shannon divergences in bits, of simulation and model, and of the simulation's halves.
    worst : str
        Name of the observable that is furthest above its floor.
    worst_atoms : str
        Its atoms, such as `ALA2 C, ALA3 N-CA-C`; empty without names in the topology.
    worst_jsd, worst_noise_floor, worst_w1 : float
        Its own figures; `worst_w1` in `unit`.
    unit : str
    verdict : {"differs", "too few frames", "close", "agrees"}
        See `outputs.judging.observable_kinds.VERDICTS`.
    """

    kind: str
    count: int
    jsd: float
    noise_floor: float
    worst: str
    worst_atoms: str
    worst_jsd: float
    worst_noise_floor: float
    worst_w1: float
    unit: str
    verdict: str


@dataclass(frozen=True, eq=False, repr=False)
class Marginals(ResultFile):
    """Hold all marginals.

    Attributes
    ----------
    table : dict of Marginal
    n : int
        Frames in each of the three sets.
    figures : MarginalFigures
        Means over pair distances, and how new the draws are.
    kinds : tuple of Kind
        Judgement of each kind of observables, the worst first.
    weights : WeightSource, optional
        Of the simulated frames: their histograms are weighted.
    """

    KIND: ClassVar[str] = "marginals"
    TABLES: ClassVar[tuple[str, ...]] = ("table", "kinds")  # all that there is, of thousands of groups

    table: dict[str, Marginal]
    n: int
    seed: int = 0
    command: str = ""
    figures: MarginalFigures = field(default_factory=lambda: MarginalFigures.from_json({}))
    kinds: tuple[Kind, ...] = ()
    weights: WeightSource | None = None

    def _summary(self) -> Summary:
        worst = sorted(self.table.items(), key=lambda item: item[1].noise_floor - item[1].jsd)
        rows = [(name, m.jsd, m.noise_floor, m.w1, m.unit) for name, m in worst]
        title = f"Marginals of {len(self.table)} observables, {self.n} frames against as many conformations"
        return Summary(title, rows, ("furthest above the noise floor", "JSD (bits)", "noise floor", "W1", "unit"))

    def to_dataframe(self) -> DataFrame:
        """Return a pandas.DataFrame, a row an observable: its unit and figures; not the histograms.

        Raises
        ------
        MissingPackageError
            pandas is not installed.
        """
        rows = [dict(scalars({**vars(m), **m.others})) for m in self.table.values()]
        names = dict.fromkeys(name for row in rows for name in row)
        columns = {name: [row.get(name, np.nan) for row in rows] for name in names}
        return dataframe(columns, list(self.table), "observable")

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write `/marginals/<name>/{edges,simulation,model}` with figures, and `/baselines/<name>/{second,pca}`.

        The same stands in `/table`, a row an observable, which is read in one go; `/kinds` has a row a kind.

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
        for name, m in self.table.items():
            tree: Tree = {
                "edges": Quantity(m.edges, m.unit),
                "simulation": Quantity(m.simulation),
                "model": Quantity(m.model),
            }
            marks = {k: v for k, v in vars(m).items() if not isinstance(v, np.ndarray | dict | tuple | None)}
            groups[f"marginals/{name}"] = (tree, {**marks, **m.others})
            beside = {k: Quantity(v) for k, v in (("second", m.second), ("pca", m.pca)) if v is not None}
            groups |= {f"baselines/{name}": (beside, {})} if beside else {}
        groups |= {"table": (_columns(self.table), {}), "kinds": (_rows([asdict(k) for k in self.kinds]), {})}
        header = Header(self.KIND, self.command or "Marginals.save", self.seed)
        told = {} if self.weights is None else {"weights": json.dumps(self.weights.to_json())}
        attributes = {"n": self.n, **self.figures.to_json(), **told}
        write_table(Path(path), header, groups=groups, attributes=attributes, force=force)

    @classmethod
    def _unpack(cls, contents: Contents, path: str) -> Marginals:
        table = _from_columns(contents.group("table")) if "table" in contents.tree else _from_groups(contents)
        figures = MarginalFigures.from_json(contents.attributes)
        n, kinds = int(contents.attributes.get("n", 0)), _kinds(contents.group("kinds"))
        weights = WeightSource.from_json(contents.json("weights"))
        return cls(table, n, contents.seed, contents.command, figures, kinds, weights)


def _columns(table: dict[str, Marginal]) -> Tree:
    """Figures (M,), edges (M, 51) and histograms (M, 50) of all observables, in their order."""
    found = list(table.values())
    figures = [dict(scalars({**vars(m), **m.others})) for m in found]
    beside = ("second", "pca") if all(m.second is not None and m.pca is not None for m in found) else ()
    stacked = {k: np.array([getattr(m, k) for m in found]) for k in ("edges", "simulation", "model", *beside)}
    if beside:
        stacked |= {f"wide_{k}": np.array([getattr(m.wide or m, k) for m in found]) for k in Wide._fields}
    return {"name": np.array(list(table), dtype=str), **_rows(figures), **stacked}


def _rows(rows: list[JSONObject]) -> dict[str, AnyArray]:
    """Columns of the names that all rows have."""
    names = [name for name in (rows[0] if rows else ()) if all(name in row for row in rows)]
    return {name: np.array([row[name] for row in rows]) for name in names}


def _from_columns(tree: NestedArrays) -> dict[str, Marginal]:
    """Return the marginals of columns that have a row an observable."""
    columns = {name: column for name, column in tree.items() if not isinstance(column, Mapping)}
    names, units = columns.pop("name").tolist(), columns.pop("unit").tolist()
    own, wide = (_take_histograms(columns, prefix, len(names)) for prefix in ("", "wide_"))
    figures = [
        dict(zip(columns, row, strict=True)) for row in zip(*(c.tolist() for c in columns.values()), strict=True)
    ]
    return {name: _marginal(units[k], own[k], figures[k], wide[k]) for k, name in enumerate(names)}


def _take_histograms(columns: dict[str, AnyArray], prefix: str, rows: int) -> list[dict[str, Float64]]:
    """Take edges and histograms out of the columns, and return those of each row that there are."""
    stacked = {name: columns.pop(prefix + name) for name in Wide._fields if prefix + name in columns}
    return [{name: column[k] for name, column in stacked.items()} for k in range(rows)]


def _from_groups(contents: Contents) -> dict[str, Marginal]:
    """Return the marginals of a file of an earlier version, which has a group an observable and no table."""
    table = {}
    for name in contents.group("marginals"):
        figures = dict(contents.marks[f"marginals/{name}"])
        unit = str(figures.pop("unit", ""))
        own = {key: contents.array(f"marginals/{name}/{key}") for key in ("edges", "simulation", "model")}
        beside = {key: contents.array(f"baselines/{name}/{key}") for key in contents.group(f"baselines/{name}")}
        table[name] = _marginal(unit, {**own, **beside}, figures, {})
    return table


def _marginal(unit: str, own: Mapping[str, Float64], read: Mapping[str, Any], wide: Mapping[str, Float64]) -> Marginal:
    """Return a marginal of what was read; figures that older files lack are NaN."""
    others = {name: value for name, value in read.items() if name not in _FIGURES}
    figures = {name: float(read[name] if name in _DRAWN else read.get(name, np.nan)) for name in _FIGURES}
    same = not wide or np.array_equal(wide["edges"], own["edges"])
    return Marginal(
        unit,
        own["edges"],
        own["simulation"],
        own["model"],
        **figures,
        others=others,
        second=own.get("second"),
        pca=own.get("pca"),
        wide=None if same else Wide(**wide),
    )


def _kinds(tree: NestedArrays) -> tuple[Kind, ...]:
    """Return the kinds of columns that have a row a kind; none of a file of an earlier version."""
    names = [f.name for f in fields(Kind)]
    columns = [column.tolist() for name in names if not isinstance(column := tree.get(name, {}), Mapping)]
    return tuple(Kind(*row) for row in zip(*columns, strict=True)) if len(columns) == len(names) else ()
