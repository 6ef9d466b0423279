"""`embed.h5`: latent coordinates of every frame of a trajectory."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from trajvae.dataframes import dataframe
from trajvae.display import Summary, scalars
from trajvae.figures import EmbeddingFigures
from trajvae.frame_weights.weights import FrameWeights
from trajvae.results.applied import Applied
from trajvae.results.base import ResultFile, floats, floats_or_nan
from trajvae.results.older_files import geometry_of
from trajvae.results.sensitivity import Sensitivity
from trajvae.store import Contents, Header, Quantity, table_file
from trajvae.store.schema import Tree
from trajvae.store.tables import TableFile
from trajvae.typing import Bool, Float64, Int64

if TYPE_CHECKING:
    from pandas import DataFrame

    from trajvae.readers.reading import Reading

WEIGHT = "weight"  # name of the column of weights
_MEANS = ("elbo", "rmsd", "pca_rmsd")  # figures that are means over the frames


@dataclass(frozen=True, eq=False, repr=False)
class Embedding(ResultFile):
    """Hold the latent coordinates of every frame, and what was measured of it.

    Attributes
    ----------
    latent : ndarray, shape (T, ambient)
    latent_scale : ndarray, shape (T, dim)
    tangent : ndarray, shape (T, dim)
        The latent points in the tangent space at the manifold's origin; the same as `latent` where that is flat.
    coordinates : str
        What `latent` is: Cartesian, unit vectors, ...
    geometry : str
        The space it lies in, such as `e2` or `h2:0.73,e2`; empty where that has no name.
    rmsd : ndarray, shape (T,)
        Å, of each frame to its decoded mean; NaN where that was not asked for.
    frame_jump : ndarray, shape (T,)
        Å, to the frame that it follows in the same run; NaN where there is none: first frames, gaps and restarts.
    file, frame : ndarray of int64, shape (T,)
        Number of the file in `files`, and of the frame in that file.
    time : ndarray, shape (T,)
        ps, as the files give it.
    files : list of str
        Names of the trajectories.
    seed : int
    command : str
        The command line or the call that made it.
    figures : EmbeddingFigures
        Means over the frames; empty where the file holds none, as those of earlier versions.
    frame_observables : mapping of str to Quantity
        Values (T,) of the observables that models keep (radius of gyration, end-to-end distance, and what you add),
        with unit and period; empty where nothing was decoded.
    in_support : ndarray of bool, shape (T,), or None
        Whether a frame's latent point lies where those of training frames are: not further from the
        fifth nearest than 99 % of these are.
    applied : Applied
        Which model was applied, and how the trajectories were opened.
    weights : FrameWeights or None
        How much each frame counts, in the means of `figures` too; None where no weights were given.
    sensitivity : Sensitivity or None
        How much each atom and residue moves each latent coordinate over these frames; None where that was not asked
        for.
    path : str
        Name of the file that it was read from; empty where it was not.
    """

    KIND: ClassVar[str] = "embedding"

    latent: Float64
    latent_scale: Float64
    rmsd: Float64
    frame_jump: Float64
    file: Int64
    frame: Int64
    time: Float64
    files: list[str]
    tangent: Float64
    coordinates: str
    seed: int = 0
    command: str = "Model.encode"
    figures: EmbeddingFigures = field(default_factory=lambda: EmbeddingFigures.from_json({}))
    geometry: str = ""
    frame_observables: Mapping[str, Quantity] = field(default_factory=dict)
    in_support: Bool | None = None
    applied: Applied = field(default_factory=Applied)
    path: str = ""
    weights: FrameWeights | None = None
    sensitivity: Sensitivity | None = None

    @property
    def measured(self) -> Mapping[str, Float64]:
        """The values (T,) of each observable of `frame_observables`."""
        return {name: np.asarray(q.value, dtype=np.float64) for name, q in self.frame_observables.items()}

    @property
    def model_hash(self) -> str:
        """Hash of the model that was applied; empty where it is not known."""
        return self.applied.model_hash

    @property
    def reading(self) -> Reading:
        """How the trajectories were opened."""
        return self.applied.reading

    @property
    def columns(self) -> Mapping[str, Quantity]:
        """Quantities with a row a frame, by name."""
        return self.observables()

    def _summary(self) -> Summary:
        n, width = self.latent.shape
        means = [(f"mean {name}", value) for name, value in scalars(self.figures) if name in _MEANS]
        rows = [("frames", n), ("files", ", ".join(self.files)), ("coordinates", self.coordinates), *means]
        return Summary(f"Embedding of {n} frames, latent {width} coordinates ({self.coordinates})", rows)

    def to_dataframe(self) -> DataFrame:
        """Return a pandas.DataFrame, a row a frame: file, frame, time (ps), and what the file has of every frame.

        Raises
        ------
        MissingPackageError
            pandas is not installed.
        """
        origin = {"file": np.array(self.files, dtype=object)[self.file], "frame": self.frame, "time": self.time}
        return dataframe({**origin, **{name: q.value for name, q in self.observables().items()}})

    def observables(self) -> Mapping[str, Quantity]:
        """Return the observables of every frame that the file has, by name."""
        observables = {
            "latent": Quantity(self.latent, attributes={"coordinates": self.coordinates, "geometry": self.geometry}),
            "latent_scale": Quantity(self.latent_scale),
            "rmsd": Quantity(self.rmsd, "Angstrom"),
            "frame_jump": Quantity(self.frame_jump, "Angstrom"),
        }
        if self.tangent.shape != self.latent.shape:
            observables["latent_tangent"] = Quantity(self.tangent)
        observables |= self.frame_observables
        if self.in_support is not None:
            observables["in_support"] = Quantity(self.in_support.astype(np.int8))
        if self.weights is not None:
            observables[WEIGHT] = Quantity(self.weights.values)
        return observables

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write the embedding as the page on formats describes it, whole or not at all.

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
        header = Header(self.KIND, self.command, self.seed)
        n, w, s = len(self.frame), self.weights, self.sensitivity
        with embedding_file(Path(path), n, self.files, header, self.applied, force=force, weights=w, moved=s) as out:
            out.append(self)
            out.set_figures(self.figures)

    @classmethod
    def _unpack(cls, contents: Contents, path: str) -> Embedding:
        columns = contents.columns("observables")
        latent = columns.pop("latent")
        tangent = floats(columns.pop("latent_tangent", latent))
        inside, weight = columns.pop("in_support", None), columns.pop(WEIGHT, None)
        return cls(
            latent=floats(latent),
            latent_scale=floats_or_nan(columns.pop("latent_scale", None), tangent.shape),
            rmsd=floats_or_nan(columns.pop("rmsd", None), tangent.shape[:1]),
            frame_jump=floats(columns.pop("frame_jump")),
            file=contents.array("trajvae/file").astype(np.int64),
            frame=contents.array("trajvae/frame").astype(np.int64),
            time=contents.array("observables/latent/time").astype(np.float64),
            files=contents.array("trajvae/files").tolist(),
            tangent=tangent,
            coordinates=str(latent.attributes.get("coordinates", "")),
            seed=contents.seed,
            command=contents.command,
            figures=EmbeddingFigures.from_json(contents.json("summary")),
            geometry=geometry_of(latent),
            frame_observables=columns,
            in_support=None if inside is None else inside.value.astype(bool),
            applied=Applied.from_contents(contents),
            path=path,
            weights=None if weight is None else FrameWeights.from_json(floats(weight), contents.json("weights")),
            sensitivity=Sensitivity.from_contents(contents, path) if contents.group("sensitivity") else None,
        )


class EmbeddingFile:
    """Write an embedding piece by piece, so that memory does not grow with the number of frames."""

    def __init__(self, table: TableFile) -> None:
        self._table = table

    @property
    def n_done(self) -> int:
        """Number of frames that are written."""
        return self._table.done

    def append(self, piece: Embedding) -> None:
        """Write the next frames."""
        origin = {"file": piece.file, "frame": piece.frame}
        self._table.append(piece.observables(), piece.frame, piece.time, origin)

    def set_figures(self, figures: EmbeddingFigures) -> None:
        """Write the figures of all frames, where there are any."""
        if figures:
            self._table.describe({"summary": json.dumps(figures.to_json())})


@contextlib.contextmanager
def embedding_file(
    path: Path,
    n_frames: int,
    files: Sequence[str],
    header: Header,
    applied: Applied,
    *,
    force: bool = False,
    weights: FrameWeights | None = None,
    moved: Sensitivity | None = None,
) -> Iterator[EmbeddingFile]:
    """Open a file for an embedding of as many frames; it appears when all of them are written.

    It says where weights came from; the weights themselves are a column of what is appended. What moves the latent
    coordinates is written first, with the names of the atoms.

    Raises
    ------
    OutputError
        The file exists and `force` is off, the disk refused, or fewer frames were appended.
    """
    extra: Tree = {"files": np.array(files)}
    extra = extra if moved is None else {**extra, "topology": moved.topology.to_arrays()}
    told = {} if weights is None else {"weights": json.dumps(weights.to_json())}
    attributes, groups = {**applied.attributes(), **told}, None if moved is None else moved.groups
    with table_file(path, n_frames, header, extra, attributes, groups=groups, force=force) as table:
        yield EmbeddingFile(table)


def joined(parts: Sequence[Embedding]) -> Embedding:
    """Return the frames of several embeddings as those of one, with the observables that all of them hold.

    Weights of several files have no common scale, and are left out, as sensitivities are.
    """
    if len(parts) == 1:
        return parts[0]
    common = [k for k in parts[0].frame_observables if all(k in p.frame_observables for p in parts)]
    rows = {k: [p.frame_observables[k] for p in parts] for k in common}
    observables = {k: replace(found[0], value=np.concatenate([q.value for q in found])) for k, found in rows.items()}
    inside = [p.in_support for p in parts if p.in_support is not None]
    offsets = np.cumsum([0, *(max(len(p.files), int(p.file.max(initial=-1)) + 1) for p in parts)])
    return replace(
        parts[0],
        latent=np.concatenate([p.latent for p in parts]),
        latent_scale=np.concatenate([p.latent_scale for p in parts]),
        rmsd=np.concatenate([p.rmsd for p in parts]),
        frame_jump=np.concatenate([p.frame_jump for p in parts]),
        file=np.concatenate([p.file + offset for p, offset in zip(parts, offsets, strict=False)]),
        frame=np.concatenate([p.frame for p in parts]),
        time=np.concatenate([p.time for p in parts]),
        tangent=np.concatenate([p.tangent for p in parts]),
        files=[name for p in parts for name in p.files],
        frame_observables=observables,
        in_support=np.concatenate(inside) if len(inside) == len(parts) else None,
        weights=None,
        sensitivity=None,
    )
