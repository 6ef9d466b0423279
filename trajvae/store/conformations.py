"""Conformations as H5MD that MDAnalysis opens and, in the same datasets, as HDF5 that mdtraj opens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from trajvae._version import __version__
from trajvae.store.schema import Header, Quantity, Tree, open_file, read_tree, write_header, write_tree
from trajvae.topology import Topology

_NM = 0.1  # Å to nm


def mdtraj_topology(topology: Topology) -> str:
    """The topology in mdtraj's JSON form (residues within chains, bonds as pairs of indices)."""
    chains: list[dict[str, Any]] = []
    last: tuple[str, int, str] | None = None
    for i in range(topology.n_atoms):
        residue = (str(topology.segids[i]), int(topology.resids[i]), str(topology.resnames[i]))
        if last is None or residue[0] != last[0]:
            chains.append({"index": len(chains), "chain_id": residue[0], "residues": []})
        if residue != last:
            entry = {
                "index": 0,
                "name": residue[2] or "UNK",
                "resSeq": residue[1],
                "segmentID": residue[0],
                "atoms": [],
            }
            chains[-1]["residues"].append(entry)
        last = residue
        symbol = str(topology.elements[i]) or "VS"
        atom = {"index": i, "name": str(topology.names[i]) or "X", "element": symbol}
        chains[-1]["residues"][-1]["atoms"].append(atom)
    for index, entry in enumerate(r for c in chains for r in c["residues"]):
        entry["index"] = index
    return json.dumps({"chains": chains, "bonds": topology.bonds.tolist()})


def _write_particles(file: h5py.File, positions: NDArray[np.float64]) -> None:
    n, atoms, dimension = positions.shape
    data = np.zeros((n, atoms, 3), dtype=np.float32)
    data[..., :dimension] = positions * _NM
    group = file.create_group("particles/trajectory")
    box = group.create_group("box")
    box.attrs["dimension"] = 3
    box.attrs["boundary"] = np.array(["none"] * 3, dtype="S4")
    # mdtraj's reader, PyTables, resolves links and reads contiguous or chunked data alike
    value = group.create_dataset("position/value", data=data)
    value.attrs["unit"] = "nm"
    value.attrs["units"] = np.bytes_("nanometers")
    group.create_dataset("position/step", data=np.arange(n, dtype=np.int64))
    time = group.create_dataset("position/time", data=np.arange(n, dtype=np.float32))
    time.attrs["unit"] = "ps"
    time.attrs["units"] = np.bytes_("picoseconds")
    file["coordinates"] = value
    file["time"] = time


def _write_h5md(file: h5py.File) -> None:
    h5md = file.create_group("h5md")
    h5md.attrs["version"] = np.array([1, 1])
    h5md.create_group("author").attrs["name"] = "trajvae"
    creator = h5md.create_group("creator")
    creator.attrs["name"], creator.attrs["version"] = "trajvae", __version__


def _write_mdtraj(file: h5py.File, topology: Topology) -> None:
    attributes = {
        "conventions": "Pande",
        "conventionVersion": "1.1",
        "program": "trajvae",
        "programVersion": __version__,
        "title": "conformations",
        "application": "trajvae",
    }
    for name, text in attributes.items():
        file.attrs[name] = np.bytes_(text)
    file.create_dataset("topology", data=np.array([mdtraj_topology(topology).encode()]))


def write_observables(
    file: h5py.File,
    observables: Mapping[str, Quantity],
    steps: NDArray[np.int64] | None = None,
    times: NDArray[np.float64] | None = None,
) -> None:
    """Write `/observables/<name>/{value,step,time}`: one row a frame, one level deep, as MDAnalysis reads them.

    Steps and times (ps) are the rows' numbers unless they are given.
    """
    for name, quantity in observables.items():
        step = np.arange(len(quantity.value), dtype=np.int64) if steps is None else steps
        time = step.astype(np.float64) if times is None else times
        tree: Tree = {"value": quantity, "step": step, "time": Quantity(time, "ps")}
        write_tree(file.create_group(f"observables/{name}"), tree)


def write_conformations(
    path: Path,
    positions: NDArray[np.float64],
    topology: Topology,
    observables: Mapping[str, Quantity],
    header: Header,
    attributes: Mapping[str, Any],
    extra: Tree | None = None,
) -> None:
    """Write a file that opens in MDAnalysis and mdtraj.

    Parameters
    ----------
    path : Path
        Written as it is; the caller makes it whole or absent.
    positions : ndarray, shape (n, N, D)
        In Å; stored once, in nm and float32, with z = 0 where D = 2.
    observables : mapping of str to Quantity
        One row a conformation.
    attributes, extra : mapping
        Attributes of, and arrays below, `/trajvae`.
    """
    with h5py.File(path, "w") as file:
        group = write_header(file, header)
        group.attrs["dimension"] = positions.shape[2]
        group.attrs.update(attributes)
        write_tree(group, extra or {})
        _write_h5md(file)
        _write_particles(file, positions)
        _write_mdtraj(file, topology)
        write_observables(file, observables)


def read_conformations(path: Path) -> tuple[NDArray[np.float64], dict[str, Any], dict[str, Any]]:
    """Read a conformations file.

    Returns
    -------
    positions : ndarray, shape (n, N, D)
        In Å.
    observables : dict of ndarray
    attributes : dict
        Those of `/trajvae`.
    """
    with open_file(path, "conformations") as file:
        attributes = dict(file["trajvae"].attrs)
        positions = file["particles/trajectory/position/value"][()][..., : int(attributes["dimension"])] / _NM
        groups = read_tree(file["observables"]) if "observables" in file else {}
        observables = {k: v["value"] for k, v in groups.items()}
        return positions.astype(np.float64), observables, attributes
