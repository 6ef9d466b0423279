"""Damage done to files, at random: to bytes, to the structure of HDF5, to the headers of numpy's arrays."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Rng = np.random.Generator
MARKS = (b"TREE", b"SNOD", b"HEAP", b"GCOL", b"\x89HDF", b"\x93NUMPY", b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06")
NUMBERS = (0, 1, -1, 2, 10**9, 10**12, 2**63 - 1, -(2**63), 0.5, 1e30, 1e300, float("nan"), float("inf"), -3)
VALUES = (*NUMBERS, None, True, "", "x", "1", "\x1b[2J\n", "../../etc", [], [1], [10**9] * 3, {}, {"a": 1}, "9" * 5000)
UNABLE = (KeyError, ValueError, TypeError, OSError, RuntimeError, OverflowError, MemoryError)
TYPES = ("i1", "u8", "f2", "f8", "g", ">f4", "c16", "?", "S4", "V3", "i4,f8")


def raw(content: bytes, rng: Rng) -> bytes:
    """One to eight places overwritten, most of them near a structure's signature; cut, longer, or spliced."""
    data = bytearray(content)
    marks = [at for mark in MARKS for at in _places(content, mark)] or [0]
    for _ in range(int(rng.integers(1, 9))):
        near = rng.random() < 0.7
        at = int(rng.choice(marks) + rng.integers(-300, 400)) if near else int(rng.integers(len(data) + 1))
        at = min(max(at, 0), max(len(data) - 1, 0))
        BYTES[int(rng.integers(len(BYTES)))](data, at, rng)
    return bytes(data)


def _places(content: bytes, mark: bytes) -> list[int]:
    out, at = [], content.find(mark)
    while at >= 0:
        out.append(at)
        at = content.find(mark, at + 1)
    return out


def _flip(data: bytearray, at: int, rng: Rng) -> None:
    if data:
        data[at] ^= 1 << int(rng.integers(8))


def _noise(data: bytearray, at: int, rng: Rng) -> None:
    data[at : at + 8] = rng.bytes(len(data[at : at + 8]))


def _extreme(data: bytearray, at: int, rng: Rng) -> None:
    value = (0, 1, len(data), len(data) - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)[int(rng.integers(8))]
    room = len(data[at : at + 8])
    data[at : at + 8] = (value % 2**64).to_bytes(8, "little")[:room]


def _zeros(data: bytearray, at: int, rng: Rng) -> None:
    size = len(data[at : at + int(rng.integers(1, 200))])
    data[at : at + size] = bytes(size)


def _splice(data: bytearray, at: int, rng: Rng) -> None:
    source, size = int(rng.integers(len(data) + 1)), int(rng.integers(1, 200))
    part = data[source : source + size]
    data[at : at + len(part)] = part


def _cut(data: bytearray, at: int, rng: Rng) -> None:
    if rng.random() < 0.3:
        del data[at:]


def _longer(data: bytearray, at: int, rng: Rng) -> None:
    if rng.random() < 0.3:
        data[at:at] = rng.bytes(16)


BYTES = (_flip, _flip, _noise, _extreme, _extreme, _zeros, _splice, _cut, _longer)


def structured(path: Path, rng: Rng) -> None:
    """One to three changes to an HDF5 file that stays one."""
    with h5py.File(path, "r+") as file:
        for _ in range(int(rng.integers(1, 4))):
            names: list[str] = []
            file.visit(names.append)
            if not names:
                return
            with contextlib.suppress(*UNABLE):  # what h5py does not do is no damage
                STRUCTURES[int(rng.integers(len(STRUCTURES)))](file, names[int(rng.integers(len(names)))], rng)


def _datasets(file: h5py.File, rng: Rng) -> tuple[str, h5py.Dataset] | None:
    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    if not names:
        return None
    name = names[int(rng.integers(len(names)))]
    return name, file[name]


def _replace(file: h5py.File, name: str, **how: Any) -> None:
    del file[name]
    file.create_dataset(name, **how)


def _delete(file: h5py.File, name: str, rng: Rng) -> None:
    del file[name]


def _rename(file: h5py.File, name: str, rng: Rng) -> None:
    file.move(name, f"{name}\n{int(rng.integers(9))}")


def _type(file: h5py.File, name: str, rng: Rng) -> None:
    found = _datasets(file, rng)
    if found:
        kind = np.dtype(TYPES[int(rng.integers(len(TYPES)))])
        _replace(file, found[0], data=np.zeros(found[1].shape, dtype=kind))


def _shape(file: h5py.File, name: str, rng: Rng) -> None:
    found = _datasets(file, rng)
    if not found or found[1].shape == ():
        return
    shape = list(found[1].shape)
    axis = int(rng.integers(len(shape)))
    shape[axis] = max(0, (shape[axis] + int(rng.integers(-2, 3)), 0, 1, 2 * shape[axis])[int(rng.integers(4))])
    shape = (shape, shape[::-1], shape[:-1], [*shape, 1], [])[int(rng.integers(5))]
    _replace(file, found[0], data=np.ones(shape, dtype=found[1].dtype if found[1].dtype.kind in "fiub" else "S3"))


def _huge(file: h5py.File, name: str, rng: Rng) -> None:
    found = _datasets(file, rng)
    if found:
        kind = found[1].dtype if found[1].dtype.kind in "fiub" else "S8"
        shape = tuple(10**12 if k == 0 else n for k, n in enumerate(found[1].shape or (1,)))
        _replace(file, found[0], shape=shape, dtype=kind, chunks=True)


def _bomb(file: h5py.File, name: str, rng: Rng) -> None:
    found = _datasets(file, rng)
    if found and found[1].ndim:
        shape = (10**6, *found[1].shape[1:])
        kind = found[1].dtype if found[1].dtype.kind in "fiub" else "S8"
        _replace(file, found[0], shape=shape, dtype=kind, compression="gzip", chunks=True)
        if file[found[0]].size:
            file[found[0]][:10] = 1


def _numbers(file: h5py.File, name: str, rng: Rng) -> None:
    found = _datasets(file, rng)
    if found and found[1].size and found[1].dtype.kind in "fiu":
        values = found[1][()]
        with np.errstate(all="ignore"):
            number = np.asarray(NUMBERS[int(rng.integers(len(NUMBERS)))])
            number = np.nan_to_num(number) if values.dtype.kind in "iu" else number
            flat = np.atleast_1d(values).reshape(-1)
            some = slice(None) if rng.random() < 0.3 else int(rng.integers(flat.size))
            flat[some] = np.clip(number, -1e18, 1e18).astype(values.dtype) if values.dtype.kind in "iu" else number
        found[1][...] = flat.reshape(values.shape)


def _attribute(file: h5py.File, name: str, rng: Rng) -> None:
    item = file["trajvae"] if "trajvae" in file and rng.random() < 0.7 else file[name]
    known = list(item.attrs)
    if not known:
        return
    key = known[int(rng.integers(len(known)))]
    if rng.random() < 0.2:
        del item.attrs[key]
        return
    value = VALUES[int(rng.integers(len(VALUES)))]
    item.attrs[key] = json.dumps(value) if value is None or isinstance(value, dict) else value


def _json(file: h5py.File, name: str, rng: Rng) -> None:
    texts = [k for k in ("config", "summary") if "trajvae" in file and k in file["trajvae"].attrs]
    if not texts:
        return
    key = texts[int(rng.integers(len(texts)))]
    try:
        value = json.loads(file["trajvae"].attrs[key])
    except (ValueError, TypeError):
        return
    if isinstance(value, dict) and value:
        _change(value, rng)
        file["trajvae"].attrs[key] = json.dumps(value)


def _change(value: dict[str, Any], rng: Rng) -> None:
    keys = list(value)
    key = keys[int(rng.integers(len(keys)))]
    if isinstance(value[key], dict) and value[key] and rng.random() < 0.8:
        _change(value[key], rng)
    elif rng.random() < 0.2:
        del value[key]
    else:
        value[key] = VALUES[int(rng.integers(len(VALUES)))]


def _link(file: h5py.File, name: str, rng: Rng) -> None:
    place = f"{name if isinstance(file[name], h5py.Group) else '/'}/added"
    choice = int(rng.integers(4))
    if choice == 0:
        file[place] = h5py.SoftLink("/trajvae")
    elif choice == 1:
        file[place] = h5py.ExternalLink("other.h5", "/")
    else:
        file[place] = file["/" if choice == 2 else name]


STRUCTURES: tuple[Callable[[h5py.File, str, Rng], None], ...] = (
    _delete, _rename, _type, _shape, _huge, _bomb, _numbers, _numbers, _numbers, _attribute, _json, _json, _json, _link,
)  # fmt: skip


def header(content: bytes, rng: Rng) -> bytes:
    """The header of an `.npy` file with another type, order or shape; every other file as it is."""
    if not content.startswith(b"\x93NUMPY"):
        return content
    size = int.from_bytes(content[8:10], "little")
    shape = [
        (10**12, 12, 2),
        (-5, 12, 2),
        (2**63, 3, 3),
        (20, 12),
        (0, 12, 2),
        (20, 0, 3),
        (20, 12, 10**9),
        "x",
        (1.5,),
    ]
    kind = ["<f8", "|O", "<c16", ">f2", "|V8", "<U1000000", "f8,i4", "[('a', 'O')]", "M8[s]", 7]
    text = repr(
        {
            "descr": kind[int(rng.integers(len(kind)))] if rng.random() < 0.6 else "<f4",
            "fortran_order": bool(rng.random() < 0.5),
            "shape": shape[int(rng.integers(len(shape)))] if rng.random() < 0.6 else (20, 12, 2),
        }
    )
    if rng.random() < 0.2:
        text = ("(" * 3000, "{" * 50, "__import__('os').system('touch executed')", "'" * 3, text + "L")[
            int(rng.integers(5))
        ]
    head = text.encode().ljust(size - 1) + b"\n"
    return content[:8] + len(head).to_bytes(2, "little") + head + content[10 + size :]
