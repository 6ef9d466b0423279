"""Regions that a user names: a basin of a free energy, a box on latent coordinates, or frames."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import numpy as np

from trajvae.arguments.lookup import choose
from trajvae.errors import OptionError, ReadError
from trajvae.frame_weights.table import GAS_CONSTANT
from trajvae.free_energies.coordinates import LatentCoordinates
from trajvae.free_energies.estimate import maps_of
from trajvae.free_energies.frames import LatentFrames
from trajvae.free_energies.maps import Cells
from trajvae.results.free_energy import FreeEnergy
from trajvae.typing import Bool, Float64, Int64

_SIDE = re.compile(r"\s*(?P<name>\w+)\s*=\s*(?P<low>.*?)\s*\.\.\s*(?P<high>.*?)\s*")
Written: TypeAlias = str | int | Path | Int64 | Bool  # a region, as `RegionReader.read` takes it
_AS = "a region is written as the number of a basin ('2'), a box ('z0=-1.2..-0.5,z1=..0') or a file of frame numbers"


@dataclass(frozen=True, eq=False)
class Region:
    """Hold the frames in a region.

    Attributes
    ----------
    name : str
        As it was written.
    inside : ndarray of bool, shape (T,)
    """

    name: str
    inside: Bool


@dataclass(frozen=True, eq=False)
class RegionReader:
    """Find the frames of regions.

    Attributes
    ----------
    coordinates : LatentCoordinates
        Of all T frames.
    frames : int
        T.
    free_energy : Path
        Where basins are read from.
    order : ndarray of int64, shape (T,), optional
        The number that each frame has in `free_energy` and in files and arrays of frames; by default its own.
    """

    coordinates: LatentCoordinates
    frames: int
    free_energy: Path = Path("free_energy.h5")
    order: Int64 | None = None

    def read(self, written: Written) -> Region:
        """Return a region.

        Parameters
        ----------
        written : str, int, Path or ndarray
            The number of a basin; a box such as `z0=-1.2..-0.5,z1=..0`; the name of a .npy or text file with numbers of
            frames, or these numbers; or a truth value for each frame. Frames are numbered from 0 in the order in which
            they were read.

        Raises
        ------
        OptionError
            What is written is none of these, or no frame lies in it.
        ReadError
            A file is missing, or is of other frames.
        """
        if isinstance(written, np.ndarray):
            return self._checked(Region("frames", self._of_frames(written, "an array of frames")))
        text = str(written).strip()
        if text.isdigit():
            return self._checked(Region(text, self._of_basin(int(text))))
        if "=" in text and not Path(text).is_file():
            return self._checked(Region(text, self._of_box(text)))
        return self._checked(Region(text, self._of_file(Path(text))))

    def _checked(self, region: Region) -> Region:
        if not region.inside.any():
            raise OptionError(f"no frame lies in '{region.name}': {self._ranges()}")
        return region

    def _ranges(self) -> str:
        each = [f"{name} from {values.min():.3g} to {values.max():.3g}" for name, (values, _) in self._axes.items()]
        return f"the frames have {', '.join(each)}"

    def _of_basin(self, number: int) -> Bool:
        """The core of a basin: its cells up to kT above its minimum."""
        found, basins = self._basins, self._basins.basins
        if not 0 <= number < len(basins.minimum):
            raise OptionError(f"'{self.free_energy}' has basins 0 to {len(basins.minimum) - 1}, got {number}")
        highest = basins.minimum[number] + GAS_CONSTANT * found.temperature
        return np.asarray(self._sorted(found.basin == number) & (self._energy <= highest))

    @cached_property
    def _basins(self) -> FreeEnergy:
        if not self.free_energy.is_file():
            raise ReadError(
                f"basins are read from '{self.free_energy}', which is not there: make it with 'trajvae free-energy "
                "embed.h5 --temperature T', name it with --basins, or give a box ('z0=-1.2..-0.5') instead"
            )
        found = FreeEnergy.load(self.free_energy)
        if len(found.basin) != self.frames:
            raise ReadError(
                f"'{self.free_energy}' is of {len(found.basin)} frames, and these are {self.frames}: make both from "
                "the same embed.h5"
            )
        return found

    @cached_property
    def _energy(self) -> Float64:
        """Free energy (T,) of the cell of each frame."""
        found = self._basins
        try:
            part = maps_of(self.coordinates, [found.basins_of])[0]
        except OptionError as error:
            raise ReadError(f"'{self.free_energy}' is of another latent space: {error}") from error
        drawn = found.maps[found.basins_of]
        cells = Cells(drawn.edges, np.empty(0), np.empty(0))
        return np.asarray(drawn.value.ravel()[part.cell_of(cells)])

    @cached_property
    def _axes(self) -> dict[str, tuple[Float64, bool]]:
        """Values (T,) of each coordinate, and whether it is an angle."""
        out = {c.name: (c.values, c.period > 0.0) for c in self.coordinates.single}
        for plane in self.coordinates.planes:
            number, p = re.sub(r"\D.*", "", re.sub(r"^\D+", "", plane.name)), plane.points
            if plane.curvature > 0.0:
                out[f"longitude{number}"] = np.arctan2(p[:, 1], p[:, 0]), True
                out[f"latitude{number}"] = np.arcsin(np.clip(p[:, 2], -1.0, 1.0)), False
            else:
                out[f"x{number}"], out[f"y{number}"] = ((p[:, i] / (1.0 + p[:, 0]), False) for i in (1, 2))
        return out

    def _of_box(self, text: str) -> Bool:
        inside = np.ones(self.frames, dtype=bool)
        for side in text.split(","):
            found = _SIDE.fullmatch(side)
            if found is None:
                raise OptionError(f"a side of a box is written 'z0=-1.2..-0.5', 'z0=..0' or 'z0=1..', got '{side}'")
            values, turns = choose(found["name"], self._axes, "latent coordinate")
            low, high = _bound(found["low"], -np.inf, side), _bound(found["high"], np.inf, side)
            if low > high and not turns:
                raise OptionError(f"the lower end of a side must not be above the upper one, got '{side}'")
            above, below = values >= low, values <= high
            inside &= (above | below) if low > high else (above & below)
        return inside

    def _of_file(self, path: Path) -> Bool:
        if not path.is_file():
            raise OptionError(f"{_AS}; got '{path}', and there is no such file")
        try:
            if path.suffix == ".npy":
                numbers = np.load(path, allow_pickle=False)
            else:
                numbers = np.loadtxt(path, dtype=np.float64, ndmin=1)
        except (ValueError, OSError, EOFError) as error:
            raise ReadError(f"'{path}' has no numbers of frames: {error}") from error
        return self._of_frames(numbers, f"'{path}'")

    def _of_frames(self, numbers: Int64 | Bool | Float64, name: str) -> Bool:
        """Truth values from numbers of frames, or as they are."""
        if numbers.dtype == bool and numbers.shape == (self.frames,):
            return self._sorted(numbers.astype(bool))
        whole = numbers.ravel().astype(np.float64)
        wrong = (whole != np.round(whole)) | (whole < 0) | (whole >= self.frames)
        if wrong.any():
            raise ReadError(f"frames are numbered from 0 to {self.frames - 1}, got {whole[wrong][0]:g} in {name}")
        inside = np.zeros(self.frames, dtype=bool)
        inside[whole.astype(np.int64)] = True
        return self._sorted(inside)

    def _sorted(self, inside: Bool) -> Bool:
        """Truth values in the order of the frames."""
        return inside if self.order is None else inside[self.order]


def _bound(text: str, default: float, side: str) -> float:
    try:
        return float(text) if text else default
    except ValueError as error:
        raise OptionError(f"the ends of a side of a box are numbers, got '{side}'") from error


def check_apart(source: Region, target: Region) -> None:
    """Refuse regions that share frames.

    Raises
    ------
    OptionError
    """
    shared = int((source.inside & target.inside).sum())
    if shared:
        raise OptionError(
            f"the regions --from '{source.name}' and --to '{target.name}' must not overlap, and {shared} frames lie in "
            "both"
        )


def regions_between(
    frames: LatentFrames, between: tuple[Written, Written], free_energy: str | Path = "free_energy.h5"
) -> tuple[Region, Region]:
    """Return the two regions between which a committor is wanted.

    Parameters
    ----------
    frames : LatentFrames
    between : tuple of two
        See `RegionReader.read`.
    free_energy : str or Path
        Where basins are read from.

    Raises
    ------
    OptionError, ReadError
        As `RegionReader.read`; the regions overlap.
    """
    reader = RegionReader(frames.coordinates, len(frames.latent), Path(free_energy), frames.order)
    source, target = (reader.read(written) for written in between)
    check_apart(source, target)
    return source, target
