"""Damage done to the structure of HDF5 files: other types, shapes, links and names; see `structure_texts` for text."""

from __future__ import annotations

import contextlib
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5p, h5s, h5t
from structure_parts import NUMBERS, Operator, Rng, a_dataset, a_group, an_object, pick
from structure_texts import OF_TEXT

UNABLE = (KeyError, ValueError, TypeError, OSError, RuntimeError, OverflowError, MemoryError, AttributeError)
TYPES = (
    "i1", "u1", "i8", "u8", "f2", "f4", ">f8", "g", "c16", "?", "S1", "S300", "V7", "i4,f8", "(3,)f8", "M8[s]",
    h5py.enum_dtype({"A": 1, "B": 2}), h5py.vlen_dtype("f8"), h5py.string_dtype(), h5py.string_dtype("ascii", 5),
    h5py.ref_dtype, h5py.regionref_dtype, h5py.opaque_dtype(np.dtype("M8[us]")),
)  # fmt: skip
PLANS: tuple[dict[str, Any], ...] = (
    {"compression": "gzip"}, {"compression": "lzf"}, {"scaleoffset": 3}, {"fletcher32": True}, {"shuffle": True},
    {"fillvalue": 1}, {"maxshape": True}, {},
)  # fmt: skip


def damage(file: h5py.File, rng: Rng) -> None:
    """One to three changes; what h5py does not do is no damage."""
    for _ in range(int(rng.integers(1, 4))):
        with contextlib.suppress(*UNABLE):
            OPERATORS[int(rng.integers(len(OPERATORS)))](file, rng)


def _replaced(item: h5py.Dataset, keep: bool = True, **how: Any) -> None:
    """Another dataset in its place, with the attributes that it had."""
    file, name, marks = item.file, item.name, dict(item.attrs)
    del file[name]
    made = file.create_dataset(name, **how)
    if keep:
        made.attrs.update(marks)


def _type(file: h5py.File, rng: Rng) -> None:
    item = a_dataset(file, rng)
    _replaced(item, shape=item.shape, dtype=pick(TYPES, rng))


def _converted(file: h5py.File, rng: Rng) -> None:
    """The same numbers in another type."""
    item = a_dataset(file, rng)
    with np.errstate(all="ignore"):
        _replaced(item, data=item[()].astype(pick(("i1", "i8", "u2", "f2", "f4", ">f8", ">i4", "?", "S8"), rng)))


def _committed(file: h5py.File, rng: Rng) -> None:
    name, item = f"type{int(rng.integers(99))}", a_dataset(file, rng)
    file[name] = np.dtype("f8")
    _replaced(item, shape=item.shape, dtype=file[name])


def _bitfield(file: h5py.File, rng: Rng) -> None:
    item = a_dataset(file, rng)
    name, shape = item.name.encode(), item.shape
    del file[item.name]
    h5d.create(file.id, name, pick((h5t.STD_B8LE, h5t.STD_B64BE), rng), h5s.create_simple(shape))


def _shape(file: h5py.File, rng: Rng) -> None:
    item = a_dataset(file, rng)
    old = item.shape or (1,)
    new = pick(
        ((), (0,), (1,), old[::-1], (*old, 1), (1, *old), old[1:], (*old[:-1], old[-1] + 1),
         (max(old[0] - 1, 0), *old[1:]), (0, *old[1:]), (2 * old[0], *old[1:]), (1,) * 9, (1,) * 33),
        rng,
    )  # fmt: skip
    data = np.ones(new, item.dtype if item.dtype.kind in "fiub" else "S3")
    _replaced(item, data=data)


def _empty(file: h5py.File, rng: Rng) -> None:
    _replaced(a_dataset(file, rng), data=h5py.Empty(pick(("f8", "i4", "S3"), rng)))


def _huge(file: h5py.File, rng: Rng) -> None:
    item = a_dataset(file, rng)
    old = item.shape or (1,)
    size = int(pick((10**5, 2**24, 2**27, 2**31, 10**12, 2**62), rng))
    shape = pick(((size, *old[1:]), (*old, size), (size,)), rng)
    chunks = pick((True, (1,) * len(shape), tuple(min(n, 1000) for n in shape)), rng)
    plan = pick(PLANS, rng)
    _replaced(item, shape=shape, chunks=chunks, dtype=item.dtype, **({} if "maxshape" in plan else plan))


def _packed(file: h5py.File, rng: Rng) -> None:
    """The same numbers under a filter, in chunks of any size."""
    item = a_dataset(file, rng)
    plan = dict(pick(PLANS, rng))
    if plan.pop("maxshape", False):
        plan["maxshape"] = (None,) * item.ndim
    _replaced(item, data=item[()], chunks=pick((True, (1,) * item.ndim), rng), **plan)


def _outside(file: h5py.File, rng: Rng) -> None:
    """Data in another file, by external storage or a virtual dataset."""
    item = a_dataset(file, rng)
    if rng.random() < 0.5:
        _replaced(item, shape=item.shape, dtype="f8", external=[("opened.npy", 0, h5py.h5f.UNLIMITED)])
        return
    name, layout = item.name, h5py.VirtualLayout(item.shape, "f8")
    layout[...] = h5py.VirtualSource(pick(("opened.npy", "."), rng), name, item.shape)
    del file[name]
    file.create_virtual_dataset(name, layout)


def _fixed(file: h5py.File, rng: Rng) -> None:
    """Fill values that are read where nothing was written."""
    item = a_dataset(file, rng)
    _replaced(item, shape=item.shape, dtype=item.dtype, fillvalue=pick(NUMBERS, rng), chunks=True)


def _numbers(file: h5py.File, rng: Rng) -> None:
    item = a_dataset(file, rng)
    values = np.atleast_1d(item[()])
    some = slice(None) if rng.random() < 0.3 else int(rng.integers(values.size))
    with np.errstate(all="ignore"):
        values.reshape(-1)[some] = np.asarray(pick(NUMBERS, rng)).astype(values.dtype)
    item[...] = values.reshape(item.shape)


def _soft(file: h5py.File, rng: Rng) -> None:
    above, target = a_group(file, rng), pick(("/", "/trajvae", "/none", ".", "added"), rng)
    above["added"] = h5py.SoftLink(target)


def _external(file: h5py.File, rng: Rng) -> None:
    a_group(file, rng)["added"] = h5py.ExternalLink(pick(("opened.npy", "model.h5", "/dev/zero", ""), rng), "/")


def _instead(file: h5py.File, rng: Rng) -> None:
    """A link in the place of an object: soft, external, or a hard one to another object."""
    item, other = an_object(file, rng), an_object(file, rng)
    name = item.name
    del file[name]
    file[name] = pick((h5py.SoftLink("/trajvae"), h5py.ExternalLink("opened.npy", "/"), other), rng)


def _circle(file: h5py.File, rng: Rng) -> None:
    inner, outer = a_group(file, rng), a_group(file, rng)
    inner["circle"] = outer


def _many_links(file: h5py.File, rng: Rng) -> None:
    target, above = an_object(file, rng), pick((a_group(file, rng), file.create_group("many")), rng)
    for k in range(int(pick((3, 40, 1000, 10_000), rng))):
        above[f"link{k}"] = target


def _deep(file: h5py.File, rng: Rng) -> None:
    a_group(file, rng).create_group("/".join(["deep"] * int(pick((3, 20, 300), rng))))


def _many_groups(file: h5py.File, rng: Rng) -> None:
    above = a_group(file, rng).create_group("groups")
    for k in range(int(pick((100, 9000), rng))):
        above.create_group(f"{k}")


def _delete(file: h5py.File, rng: Rng) -> None:
    del file[an_object(file, rng).name]


def _exchange(file: h5py.File, rng: Rng) -> None:
    one, two = an_object(file, rng).name, an_object(file, rng).name
    file.move(one, "between")
    file.move(two, one)
    file.move("between", two)


def _other_kind(file: h5py.File, rng: Rng) -> None:
    """A group for a dataset, or a dataset for a group."""
    item = an_object(file, rng)
    name, was_group = item.name, isinstance(item, h5py.Group)
    del file[name]
    if was_group:
        file[name] = pick((1.0, "text", np.zeros((3, 3))), rng)
    else:
        file.create_group(name)


def _rename(file: h5py.File, rng: Rng) -> None:
    name = an_object(file, rng).name
    above = name.rpartition("/")[0]
    new = pick(
        (b"\xff\xfe", b"a\nb", b"\x1b[2J", b"x" * 5000, b" ", "é".encode(), b"..", b"evil:f", name.encode() + b"/x"),
        rng,
    )
    h5py.h5o.link(file[name].id, file[above or "/"].id, new)
    del file[name]


def _plugin(file: h5py.File, rng: Rng) -> None:
    """A filter that HDF5 would look for among plugins."""
    item = a_dataset(file, rng)
    plan = h5p.create(h5p.DATASET_CREATE)
    plan.set_chunk(tuple(max(n, 1) for n in item.shape))
    plan.set_filter(int(pick((32015, 305, 4, 5), rng)), h5py.h5z.FLAG_OPTIONAL, ())
    name, shape = item.name.encode(), item.shape
    del file[item.name]
    h5d.create(file.id, name, h5t.IEEE_F64LE, h5s.create_simple(shape), plan)


OPERATORS: tuple[Operator, ...] = (
    _type, _type, _converted, _converted, _committed, _bitfield, _shape, _shape, _empty, _huge, _huge, _packed,
    _outside, _fixed, _numbers, _numbers, _numbers, _soft, _external, _instead, _instead, _circle, _many_links, _deep,
    _many_groups, _delete, _exchange, _exchange, _other_kind, _rename, _rename, _plugin, *OF_TEXT,
)  # fmt: skip
