"""What trajvae's files hold, as the functions of this package take it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from trajvae.display import Brief
from trajvae.errors import ReadError
from trajvae.store import Contents, Quantity, read_contents, read_model
from trajvae.typing import AnyArray, Bool, Float64, Int64

_SETS = ("edges", "simulation", "model", "second", "pca")
_PLAIN = {"Cartesian": "e{0}", "unit vectors": "s{1}:1.0"}  # of files that do not name their geometry


@dataclass(frozen=True, eq=False, repr=False)
class StoredPoints(Brief):
    """Latent points of frames; as `outputs.embed.Embedding`.

    Attributes
    ----------
    frame : ndarray of int64, shape (T,), or None
        Number of each frame in its file.
    files : sequence of str
        Names of the trajectories.
    name : str
        Of the file that was read.
    model_hash : str
        See `store.model_hash`; empty in files of older versions.
    reading : mapping
        As `outputs.embed.Applied` has it.
    """

    latent: Float64
    geometry: str
    tangent: Float64
    file: Int64
    time: Float64 | None = None
    frame_jump: Float64 | None = None
    observables: Mapping[str, Quantity] = field(default_factory=dict)
    frame: Int64 | None = None
    files: Sequence[str] = ()
    name: str = ""
    model_hash: str = ""
    reading: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, repr=False)
class StoredModel(Brief):
    """What a model keeps of its training: `Model.record`'s history, latent points and figures."""

    history: Mapping[str, AnyArray]
    points: StoredPoints
    figures: Mapping[str, Any]


@dataclass(frozen=True, eq=False, repr=False)
class StoredShares(Brief):
    """As `outputs.histograms.Wide`."""

    edges: Float64
    simulation: Float64
    model: Float64
    second: Float64 | None
    pca: Float64 | None


@dataclass(frozen=True, eq=False, repr=False)
class StoredMarginal(Brief):
    """As `outputs.histograms.Marginal`, without the figures that are not drawn."""

    unit: str
    edges: Float64
    simulation: Float64
    model: Float64
    second: Float64 | None
    pca: Float64 | None
    jsd: float
    noise_floor: float
    others: Mapping[str, float]
    wide: StoredShares | None = None


@dataclass(frozen=True, eq=False, repr=False)
class StoredMarginals(Brief):
    """As `outputs.marginals.Marginals`."""

    table: Mapping[str, StoredMarginal]


@dataclass(frozen=True, eq=False, repr=False)
class StoredConformations(Brief):
    """As `outputs.conformations.Conformations`, without positions."""

    latent: Float64
    geometry: str
    valid: Bool
    observables: Mapping[str, Quantity]
    figures: Mapping[str, Any]
    extra: Mapping[str, Any]
    model_hash: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class StoredEntry(Brief):
    """As `outputs.compare.Entry`: its figures."""

    figures: Mapping[str, Any]


@dataclass(frozen=True, eq=False, repr=False)
class StoredComparison(Brief):
    """As `outputs.compare.Comparison`."""

    entries: Mapping[str, StoredEntry]
    sizes: tuple[int, ...]


Stored: TypeAlias = StoredPoints | StoredModel | StoredMarginals | StoredConformations | StoredComparison


def read(path: str | Path) -> Stored:
    """Read any of trajvae's files.

    Raises
    ------
    ReadError
        The file is missing, damaged, none of trajvae's, or lacks what its kind must hold.
    """
    path = Path(path)
    heavy = ("trajvae/weights", "trajvae/training/sample", "particles")
    contents = read_contents(path, skip=heavy, tables=("table",))  # of marginals.h5, whose groups are thousands
    kinds: dict[str, Callable[[Contents], Stored]] = {
        "embedding": lambda c: replace(_points(c), name=str(path)),
        "model": lambda _: _model(path),
        "marginals": _marginals,
        "conformations": _conformations,
        "compare": _comparison,
    }
    if contents.kind not in kinds:
        raise ReadError(f"'{path}' holds {contents.kind}, of which there is no figure")
    try:
        return kinds[contents.kind](contents)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise ReadError(f"'{path}' is damaged or incomplete: {error}") from error


def read_points(path: str | Path) -> StoredPoints:
    """Return the latent points of an embedding or of a model's training frames.

    Raises
    ------
    ReadError
        As `read`; or a file of something else.
    """
    found = read(path)
    if isinstance(found, StoredModel):
        return found.points
    if not isinstance(found, StoredPoints):
        raise ReadError(f"'{path}' holds no latent points of frames; wanted: an embed.h5 or a model.h5")
    return found


def _quantities(contents: Contents, name: str) -> dict[str, Quantity]:
    """Datasets of a group, with their units and marks."""
    group: Any = contents.tree
    for part in name.split("/"):
        group = group.get(part, {})
    out = {}
    for key, item in group.items():
        full = f"{name}/{key}/value" if isinstance(item, dict) else f"{name}/{key}"
        value = item["value"] if isinstance(item, dict) else item
        out[key] = Quantity(value, contents.unit(full), contents.marks.get(full, {}))
    return out


def _floats(quantity: Quantity) -> Float64:
    return quantity.value.astype(np.float64)


def _geometry(latent: Quantity) -> str:
    """As it is named, or as older files let one tell."""
    if "geometry" in latent.attributes:
        return str(latent.attributes["geometry"])
    size = latent.value.shape[1]
    return _PLAIN.get(str(latent.attributes.get("coordinates", "")), "").format(size, size - 1)


def _named(summary: Mapping[str, Any]) -> str:
    """A model's geometry, or what an older model's figures tell of it."""
    backend, dim, bent = str(summary["backend"]), summary["latent_dim"], summary.get("curvatures", {})
    factors = [(part.split("#")[0], bent.get(part)) for part in summary.get("kl", {})]
    told = {
        "euclidean": f"e{dim}",
        "rhvae": f"e{dim}",
        "hyperspherical": f"s{dim}:1.0",
        "product": ",".join(name if k is None else f"{name}:{abs(k)}" for name, k in factors),
    }
    return str(summary.get("geometry", told.get(backend, "")))


def _points(contents: Contents) -> StoredPoints:
    rows = _quantities(contents, "observables")
    latent, time = rows.pop("latent"), contents.tree["observables"]["latent"]["time"]
    tangent, jump = _floats(rows.pop("latent_tangent", latent)), _floats(rows["frame_jump"])
    own = contents.tree["trajvae"]
    points = StoredPoints(_floats(latent), _geometry(latent), tangent, own["file"], time, jump, rows)
    told = {"frame": own["frame"], "files": own["files"].tolist()}
    attributes = contents.attributes
    told |= {"model_hash": str(attributes.get("model_hash", "")), "reading": dict(attributes.get("reading", {}))}
    return replace(points, **told)


def _model(path: Path) -> StoredModel:
    record = read_model(path)
    training = record.groups["training"]
    latent, config = training["latent"], record.config
    points = StoredPoints(
        latent,
        _named(record.summary),
        latent,
        training["file"],
        observables=training.get("observables", {}),
        frame=training["frame"],
        files=training["files"].tolist(),
        name=str(path),
        model_hash=record.hash,
        reading={"select": config.get("select")},
    )
    history = {name: np.asarray(column, dtype=np.float64) for name, column in record.groups["history"].items()}
    return StoredModel(history, points, record.summary)


def _marginals(contents: Contents) -> StoredMarginals:
    if "table" in contents.tree:
        return _tabulated(contents.tree["table"])
    table = {}  # of a file of an older version
    for name, group in contents.tree["marginals"].items():
        marks = dict(contents.marks[f"marginals/{name}"])
        unit, jsd, floor = str(marks.pop("unit", "")), float(marks.pop("jsd")), float(marks.pop("noise_floor"))
        beside = contents.tree.get("baselines", {}).get(name, {})
        sets = (group["simulation"], group["model"], beside.get("second"), beside.get("pca"))
        table[name] = StoredMarginal(unit, group["edges"], *sets, jsd, floor, marks)
    return StoredMarginals(table)


def _tabulated(columns: dict[str, AnyArray]) -> StoredMarginals:
    """Of columns that have a row an observable."""
    columns = dict(columns)
    names, unit, jsd, floor = (columns.pop(k).tolist() for k in ("name", "unit", "jsd", "noise_floor"))
    own, wide = (_sets(columns, prefix, len(names)) for prefix in ("", "wide_"))
    others = [dict(zip(columns, row, strict=True)) for row in zip(*(c.tolist() for c in columns.values()), strict=True)]
    table = {}
    for k, name in enumerate(names):
        shares = None if wide[k]["edges"] is None else StoredShares(**wide[k])
        figures: dict[str, Any] = {"unit": unit[k], "jsd": jsd[k], "noise_floor": floor[k], "others": others[k]}
        table[name] = StoredMarginal(**figures, **own[k], wide=shares)
    return StoredMarginals(table)


def _sets(columns: dict[str, AnyArray], prefix: str, rows: int) -> list[dict[str, Any]]:
    """Edges and histograms of each observable, taken out of the columns; None where there are none."""
    nothing: list[None] = [None] * rows
    parts = [columns.pop(f"{prefix}{k}", nothing) for k in _SETS]
    return [dict(zip(_SETS, row, strict=True)) for row in zip(*parts, strict=True)]


def _conformations(contents: Contents) -> StoredConformations:
    rows = _quantities(contents, "observables")
    latent, valid = rows.pop("latent"), rows.pop("valid").value.astype(bool)
    summary = dict(contents.attributes.get("summary", {}))
    drawn = [summary[key] for key in ("best_observed", "optimum", "length", "straight_length") if key in summary]
    np.asarray([*drawn, *summary.get("quantiles", ())], dtype=np.float64)  # a ValueError where one is no number
    extra = {"path": _quantities(contents, "trajvae/path")} if "path" in contents.tree["trajvae"] else {}
    told = str(contents.attributes.get("model_hash", ""))
    return StoredConformations(_floats(latent), _geometry(latent), valid, rows, summary, extra, told)


def _comparison(contents: Contents) -> StoredComparison:
    entries: dict[str, StoredEntry] = {}
    sizes: tuple[int, ...] = ()
    for key, group in contents.tree["compare"].items():
        marks = contents.marks[f"compare/{key}"]
        bounds = f"compare/{key}/bounds"
        sizes = tuple(int(n) for n in contents.marks[bounds]["draws"])
        figures = {**marks, "bounds": group["bounds"].mean(axis=0).tolist()}
        entries[str(marks.get("name", key))] = StoredEntry(figures)
    best_first = sorted(entries, key=lambda name: entries[name].figures["behind"])
    return StoredComparison({name: entries[name] for name in best_first}, sizes)
