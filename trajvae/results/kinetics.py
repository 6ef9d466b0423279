"""`kinetics.h5`: how slow latent coordinates are beside TICA and PCA, and the Markov model on them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from trajvae.dataframes import dataframe
from trajvae.display import Summary
from trajvae.figures.kinetics import KineticsFigures, TimeScaleFigures
from trajvae.frame_weights.weights import WeightSource
from trajvae.results.base import ResultFile, floats
from trajvae.results.committor import Committor
from trajvae.results.kinetics_parts import ChapmanKolmogorov, MarkovModel, TimeScales, VampScore
from trajvae.store import Contents, Header, Quantity, write_table
from trajvae.store.schema import Tree
from trajvae.typing import Float64, Int64

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, eq=False, repr=False)
class Kinetics(ResultFile):
    """Hold the kinetics of latent coordinates.

    Attributes
    ----------
    scores : tuple of VampScore
        Of the latent coordinates, and of TICA and PCA of the model's features where the trajectory was there.
    timescales : dict of str to TimeScales
        Of "markov", the Markov model of the latent points; of "latent", "tica" and "pca" by TICA.
    markov : MarkovModel
    test : ChapmanKolmogorov
    processes : int
        Number of processes of the Markov model that are slower than the lag and above the noise.
    noise : float
        Largest eigenvalue, in 95 of 100 trials, of a Markov model of frames that have nothing to do with each other.
    latent : ndarray, shape (T, ambient)
    geometry : str
        Signature of the latent space, such as `e2`; empty where it has no name.
    file, frame : ndarray of int64, shape (T,)
        Number of the trajectory in `files`, and of the frame in it, ascending.
    time : ndarray, shape (T,)
        ps, or the number of the frame where times are not known.
    files : list of str
        Names of the trajectories; empty of an array.
    lag_unit : {"ps", "frame"}
    weights : WeightSource or None
        Where weights of the frames came from; None where none were read.
    committor : Committor or None
        Between two regions; None where none were named.
    seed : int
    command : str
    """

    KIND: ClassVar[str] = "kinetics"

    scores: tuple[VampScore, ...]
    timescales: dict[str, TimeScales]
    markov: MarkovModel
    test: ChapmanKolmogorov
    processes: int
    noise: float
    latent: Float64
    geometry: str
    file: Int64
    frame: Int64
    time: Float64
    files: list[str]
    lag_unit: str = "ps"
    weights: WeightSource | None = None
    committor: Committor | None = None
    seed: int = 0
    command: str = "kinetics"

    @property
    def lag(self) -> float:
        """Lag of the scores and of the Markov model, in `lag_unit`."""
        return self.markov.lag

    @property
    def columns(self) -> Mapping[str, Quantity]:
        """Quantities with a row a frame, by name."""
        held = self._observables()
        if self.committor is not None:
            held["committor"] = Quantity(self.committor.value)
        return held

    @property
    def figures(self) -> KineticsFigures:
        """Figures that `kinetics --json` prints."""
        return KineticsFigures(
            lag=self.lag,
            lag_unit=self.lag_unit,
            vamp2={s.name: s.vamp2 for s in self.scores},
            vamp2_error={s.name: s.error for s in self.scores},
            timescales={name: _figures(found) for name, found in self.timescales.items()},
            processes=self.processes,
            noise=self.noise,
            deviation=self.test.deviation,
            states=self.markov.n_states,
            connected=float((self.markov.states >= 0).mean()),
            frames=len(self.latent),
            committor=None if self.committor is None else self.committor.figures,
        )

    def _summary(self) -> Summary:
        shown = ", ".join(f"{s.name} {s.vamp2:.2f} ± {s.error:.2f}" for s in self.scores)
        plural = "" if self.processes == 1 else "es"
        title = (
            f"Kinetics of {len(self.latent)} frames at a lag of {_length(self.lag, self.lag_unit)}: VAMP-2 {shown}; "
            f"{self.processes} slow process{plural} of {self.markov.n_states} states"
        )
        rows = [(name, *row) for name, t in self.timescales.items() for row in _slowest(t)]
        unit = _plural(self.lag_unit)
        return Summary(title, rows, ("time scale of", f"lag ({unit})", f"slowest ({unit})", "error"))

    def to_dataframe(self) -> DataFrame:
        """Return a pandas.DataFrame, a row a process at a lag: of what it is, its lag, number, time scale and error.

        Raises
        ------
        MissingPackageError
            pandas is not installed.
        """
        rows = [
            (name, float(t.lag[i]), k, float(t.value[i, k]), float(t.error[i, k]))
            for name, t in self.timescales.items()
            for i, k in np.ndindex(*t.value.shape)
        ]
        columns = ("of", "lag", "process", "value", "error")
        return dataframe({name: [row[i] for row in rows] for i, name in enumerate(columns)})

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write the scores, time scales, Markov model and its test as the page on formats describes them.

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
        names = np.array([s.name for s in self.scores], dtype=str)
        vamp2, error = (np.array([getattr(s, key) for s in self.scores]) for key in ("vamp2", "error"))
        scores: Tree = {"name": Quantity(names), "vamp2": Quantity(vamp2), "error": Quantity(error)}
        marks: dict[str, object] = {"lag": self.lag, "unit": self.lag_unit}
        groups: dict[str, tuple[Tree, Mapping[str, object]]] = {
            "scores": (scores, marks),
            **{f"timescales/{name}": (t.arrays(self.lag_unit), {}) for name, t in self.timescales.items()},
            "markov": (self.markov.arrays(), {**marks, "lag_frames": self.markov.lag_frames}),
            "chapman_kolmogorov": (self.test.arrays(self.lag_unit), marks),
            **({} if self.committor is None else self.committor.groups()),
        }
        told = {} if self.weights is None else {"weights": json.dumps(self.weights.to_json())}
        found = {"states": self.markov.n_states, "processes": self.processes, "noise": self.noise}
        write_table(
            Path(path),
            Header(self.KIND, self.command, self.seed),
            observables=self._observables(),
            steps=self.frame,
            times=self.time,
            groups=groups,
            extra={"file": self.file, "frame": self.frame, "files": np.array(self.files, dtype=str)},
            attributes={"lag": self.lag, "lag_unit": self.lag_unit, **found, **told},
            force=force,
        )

    def _observables(self) -> dict[str, Quantity]:
        """What stands in the file with a row a frame."""
        latent = Quantity(self.latent, attributes={"geometry": self.geometry})
        return {"latent": latent, "state": Quantity(self.markov.states)}

    @classmethod
    def _unpack(cls, contents: Contents, path: str) -> Kinetics:
        marks = contents.attributes
        latent = contents.quantity("observables/latent/value")
        names = contents.array("scores/name").astype(str).tolist()
        values = (contents.array(f"scores/{key}").astype(np.float64).tolist() for key in ("vamp2", "error"))
        return cls(
            scores=tuple(VampScore(*row) for row in zip(names, *values, strict=True)),
            timescales={
                name: TimeScales.from_contents(contents, f"timescales/{name}") for name in contents.group("timescales")
            },
            markov=MarkovModel.from_contents(contents, "markov"),
            test=ChapmanKolmogorov.from_contents(contents, "chapman_kolmogorov"),
            processes=int(marks["processes"]),
            noise=float(marks["noise"]),
            latent=floats(latent),
            geometry=str(latent.attributes.get("geometry", "")),
            file=contents.array("trajvae/file").astype(np.int64),
            frame=contents.array("trajvae/frame").astype(np.int64),
            time=contents.array("observables/latent/time").astype(np.float64),
            files=contents.array("trajvae/files").astype(str).tolist(),
            lag_unit=contents.text("lag_unit"),
            weights=WeightSource.from_json(contents.json("weights")),
            committor=Committor.from_contents(contents),
            seed=contents.seed,
            command=contents.command,
        )


def _plural(unit: str) -> str:
    return "frames" if unit == "frame" else unit


def _length(value: float, unit: str) -> str:
    return f"{value:g} {unit if value == 1.0 else _plural(unit)}"


def _figures(found: TimeScales) -> TimeScaleFigures:
    value, error = (tuple(map(tuple, array.tolist())) for array in (found.value, found.error))
    return TimeScaleFigures(lag=tuple(found.lag.tolist()), value=value, error=error)


def _slowest(found: TimeScales) -> list[tuple[float, float, float]]:
    """The lag, the slowest time scale and its error, at each lag."""
    return [tuple(row) for row in np.stack([found.lag, found.value[:, 0], found.error[:, 0]], axis=1).tolist()]
