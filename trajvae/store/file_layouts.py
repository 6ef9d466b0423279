"""Layouts of files: the types and shapes of the arrays in each kind of file, checked before the arrays are read.

A shape consists of numbers and letters; a letter stands for the same number in the whole file. Arrays of other names
are not checked, since a later version may have written them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import translate
from pathlib import Path
from typing import NamedTuple

import h5py
from h5py import h5d, h5o

from trajvae.errors import ReadError

_KINDS = {"reals": "f", "numbers": "fiu", "integers": "iu", "truths": "bi", "numbers or truths": "fiub", "text": "OS"}
_KINDS["anything"] = "fiubOS"


class Array(NamedTuple):
    """Describe the elements of an array (see `_KINDS`) and its shape; None allows any shape."""

    of: str
    shape: tuple[int | str, ...] | None = None


def _columns(letter: str, of: str, *names: str) -> dict[str, Array]:
    """Return the description of some columns of equal length, by name."""
    return {name: Array(of, (letter,)) for name in names}


_TOPOLOGY = {
    **_columns(
        "N", "text", *(f"topology/{k}" for k in ("names", "elements", "resnames", "segids", "chains", "icodes"))
    ),
    **_columns("N", "integers", *(f"topology/{k}" for k in ("resids", "residues", "segments", "chain_indices"))),
    "topology/masses": Array("numbers", ("N",)),
    "topology/bonds": Array("integers", ("B", 2)),
}
_TRAINING = {
    "training/latent": Array("reals", ("T", "A")),
    "training/held_out": Array("truths", ("T",)),
    "training/part": Array("integers", ("T",)),
    **_columns("T", "integers", "training/file", "training/frame"),
    "training/files": Array("text", ("F",)),
    "training/sample": Array("reals", ("S", "N", "D")),
    "training/sample_index": Array("integers", ("S",)),
    "training/observables/*": Array("reals", ("T",)),
}
_VALIDITY = {
    "validity/bonds": Array("integers", ("bonds", 2)),
    "validity/angles": Array("integers", ("angles", 3)),
    "validity/centres": Array("integers", ("centres", 4)),
    "validity/omega": Array("integers", ("omegas", 4)),
    **_columns("bonds", "numbers", "validity/bond_low", "validity/bond_high"),
    **_columns("angles", "numbers", "validity/angle_low", "validity/angle_high"),
    "validity/handedness": Array("numbers", ("centres",)),
    "validity/kinds": Array("integers", ("N",)),
    "validity/contact": Array("numbers", ("K", "K")),
    "validity/contact_14": Array("numbers", ("K", "K")),
    "validity/omega_bend": Array("numbers", ("omegas",)),
    "validity/omega_forms": Array("truths", ("omegas", 2)),
    **_columns("bonds", "numbers", "validity/bond_mean", "validity/bond_spread"),
    "validity/stretch": Array("numbers", ("ends",)),
    "validity/planes": Array("integers", ("planes", 4)),
    **_columns("planes", "numbers", "validity/plane_low", "validity/plane_high"),
    "validity/fours": Array("integers", ("fours", 4)),
    "validity/four_sign": Array("numbers", ("fours",)),
    "validity/four_kind": Array("integers", ("fours",)),
    **_columns("chains", "numbers", "validity/chain_low", "validity/chain_high"),
    "validity/rings": Array("integers", ("rings", 8)),
}
_LOCAL_GEOMETRY = {
    "local_geometry/bonds": Array("integers", ("bonds", 2)),
    "local_geometry/angles": Array("integers", ("angles", 3)),
    "local_geometry/torsions": Array("integers", ("torsions", 4)),
    "local_geometry/drawn": Array("numbers", ("terms", "Q")),
    "local_geometry/simulated": Array("numbers", ("terms", "Q")),
    "local_geometry/start": Array("numbers", ("torsions",)),
    "local_geometry/deviation": Array("numbers", ("terms",)),
    "local_geometry/coupling": Array("numbers", ("angles", 4)),
}
_MODEL = {
    "reference": Array("numbers", ("N", "D")),
    "weighting": Array("numbers", ("N",)),
    "weights/*": Array("numbers or truths"),
    "history/*": Array("numbers"),
    "part": Array("integers"),
    "optimiser/*": Array("numbers or truths"),
    "optimiser/*/*": Array("numbers or truths"),
    **_TOPOLOGY,
    **_TRAINING,
    **_VALIDITY,
    **_LOCAL_GEOMETRY,
}
_ROWS = {
    "observables/*/value": Array("anything"),
    **_columns("R", "numbers", "observables/*/step", "observables/*/time"),
}
_SHARES = ("simulation", "model", "second", "pca")
_SENSITIVITY = {
    **{f"trajvae/{name}": array for name, array in _TOPOLOGY.items()},
    "sensitivity/atoms": Array("reals", ("M", "N")),
    "sensitivity/residues": Array("reals", ("M", "residues")),
    "sensitivity/spread": Array("reals", ("M",)),
    "sensitivity/fluctuation": Array("reals", ("N",)),
    "sensitivity/structure": Array("reals", ("N", 3)),
}
_PLACE = "particles/trajectory/position"
LAYOUTS: Mapping[str, Mapping[str, Array]] = {
    "model": {f"trajvae/{name}": array for name, array in _MODEL.items()},
    "embedding": {
        **_ROWS,
        **_columns("R", "integers", "trajvae/file", "trajvae/frame"),
        "trajvae/files": Array("text", ("F",)),
        **_SENSITIVITY,
    },
    "conformations": {
        **_ROWS,
        f"{_PLACE}/value": Array("numbers", ("R", "N", 3)),
        **_columns("R", "numbers", f"{_PLACE}/step", f"{_PLACE}/time"),
    },
    "marginals": {
        **{f"marginals/*/{name}": Array("numbers") for name in ("edges", "simulation", "model")},
        **_columns("M", "text", "table/name", "table/unit"),
        **{f"table/{name}": Array("numbers", ("M", "E")) for name in ("edges", "wide_edges")},
        **{f"table/{k}{name}": Array("numbers", ("M", "bins")) for k in ("", "wide_") for name in _SHARES},
        **_columns("K", "text", *(f"kinds/{k}" for k in ("kind", "worst", "worst_atoms", "unit", "verdict"))),
        **_columns("K", "numbers", *(f"kinds/{k}" for k in ("count", "jsd", "noise_floor", "worst_jsd"))),
    },
    "free_energy": {
        **_ROWS,
        **{f"free_energy/*/{name}": Array("reals") for name in ("edges_*", "value", "error", "volume", "smoothing")},
        "basins/center": Array("reals", ("K", "C")),
        **_columns("K", "reals", *(f"basins/{k}" for k in ("minimum", "population", "population_error"))),
        **_columns("K", "reals", "basins/free_energy", "basins/error"),
        **_columns("K", "integers", "basins/representative_frame", "basins/representative_row"),
        "basins/representative_file": Array("text", ("K",)),
        **{f"basins/{name}": Array("reals", ("K", "K")) for name in ("barrier", "barrier_error")},
    },
    "sensitivity": _SENSITIVITY,
    "kinetics": {
        **_ROWS,
        "observables/latent/value": Array("reals", ("T", "A")),
        "observables/state/value": Array("integers", ("T",)),
        "scores/name": Array("text", ("C",)),
        **_columns("C", "reals", "scores/vamp2", "scores/error"),
        **{f"timescales/*/{name}": Array("reals") for name in ("lag", "value", "error")},
        "markov/transition": Array("reals", ("S", "S")),
        "markov/stationary": Array("reals", ("S",)),
        "markov/centers": Array("reals", ("S", "A")),
        "chapman_kolmogorov/sets": Array("integers", ("S",)),
        "chapman_kolmogorov/population": Array("reals", ("M",)),
        "chapman_kolmogorov/lag": Array("reals", ("K",)),
        **{f"chapman_kolmogorov/{name}": Array("reals", ("K", "M")) for name in ("predicted", "estimated", "error")},
        **_columns("T", "reals", *(f"committor/{name}" for name in ("value", "time", "outcome"))),
        **_columns("T", "integers", "committor/step", "committor/inside"),
        "committor/states": Array("reals"),
        **_columns("B", "reals", *(f"committor_calibration/{name}" for name in ("committor", "outcome", "error"))),
        **_columns("B", "integers", "committor_calibration/frames", "committor_calibration/excursions"),
        "committor_explained/name": Array("text", ("X",)),
        **_columns("X", "reals", "committor_explained/value", "committor_explained/error"),
        **_columns("Q", "integers", "transition_states/row", "transition_states/step"),
        "transition_states/committor": Array("reals", ("Q",)),
    },
}


def members(group: h5py.Group) -> Iterator[tuple[str, h5py.Group | h5py.Dataset]]:
    """Yield the names and members of a group, five times as fast as `group.items()`, after `check_contents`."""
    names: list[bytes] = []
    group.id.links.iterate(names.append)
    for name in names:
        item = h5o.open(group.id, name)
        kind = h5py.Dataset if isinstance(item, h5d.DatasetID) else h5py.Group
        yield name.decode(errors="surrogateescape"), kind(item)


def datasets_of(group: h5py.Group, above: str = "", only: Sequence[str] = ()) -> Iterator[tuple[str, h5py.Dataset]]:
    """Yield the full names of all datasets below a group, with the datasets, after `check_contents`.

    With `only`, those below some members of the group.
    """
    for name, item in [(k, group[k]) for k in only] or members(group):
        if isinstance(item, h5py.Dataset):
            yield above + name, item
        else:
            yield from datasets_of(item, f"{above}{name}/")


def check_layout(file: h5py.File, kind: str, path: Path, only: Sequence[str] = ()) -> None:
    """Compare the arrays of a file with the layout of its kind; with `only`, those in some groups at the top.

    Raises
    ------
    ReadError
        An array has another type or shape than its layout.
    """
    sizes: dict[str, int] = {}
    layout = LAYOUTS.get(kind, {})
    patterns = [(re.compile(translate(name)), array) for name, array in layout.items() if "*" in name]
    for name, item in datasets_of(file, only=only):
        expected = layout.get(name) or next((array for pattern, array in patterns if pattern.match(name)), None)
        if expected is not None:
            _compare(name, item, expected, sizes, path)


def _compare(name: str, item: h5py.Dataset, array: Array, sizes: dict[str, int], path: Path) -> None:
    """Raise an error if a dataset differs from its description; `sizes` are the numbers that letters stand for."""
    if item.dtype.kind not in _KINDS[array.of]:
        raise ReadError(f"'{path}' is damaged: '{name}' is of {item.dtype}, wanted: {array.of}")
    if array.shape is None:
        return
    expected = array.shape
    if len(expected) == item.ndim:
        for letter, size in zip(expected, item.shape, strict=True):
            if isinstance(letter, str):
                sizes.setdefault(letter, size)
        expected = tuple(sizes[n] if isinstance(n, str) else n for n in expected)
    if expected != item.shape:
        text = ", ".join(map(str, expected))
        raise ReadError(f"'{path}' is damaged: '{name}' has the shape {item.shape}, wanted: ({text})")
