"""Damage done to text in HDF5 files: attributes, JSON, and datasets of text."""

from __future__ import annotations

import json

import h5py
import numpy as np
from h5py import h5a, h5s, h5t
from structure_parts import NUMBERS, TEXTS, Operator, Rng, an_object, members, pick


def _words(file: h5py.File, rng: Rng) -> None:
    """Other texts in a dataset of text, some of which are no UTF-8."""
    names = [n for n in members(file, h5py.Dataset) if h5py.check_string_dtype(file[n].dtype) and file[n].size]
    item = file[pick(names, rng)]
    text = b"\xff\xfe\x00x" if rng.random() < 0.3 else pick(TEXTS, rng)
    item[pick((0, -1, slice(None)), rng)] = text


def _drop_attribute(file: h5py.File, rng: Rng) -> None:
    item = pick((an_object(file, rng), file["trajvae"]), rng)
    del item.attrs[pick(list(item.attrs), rng)]


def _attribute(file: h5py.File, rng: Rng) -> None:
    """Another value, of another type or shape."""
    item = pick((an_object(file, rng), file["trajvae"]), rng)
    key = pick([*item.attrs, "unit", "unit"], rng)
    value = pick(
        (*NUMBERS, *TEXTS, True, h5py.Empty("f8"), np.zeros((2, 2)), np.zeros(9000), np.zeros(0), [b"a", b"b"],
         ["a", "b"], np.zeros(2, "i4,f8"), np.bytes_("\xe9".encode("latin-1")), np.void(b"\0\1"), file.ref,
         1j, 10**18, "9" * 5000),
        rng,
    )  # fmt: skip
    item.attrs[key] = value


def _odd_text(file: h5py.File, rng: Rng) -> None:
    """Text beside data whose bytes are no UTF-8, of fixed length in each padding."""
    item = pick((an_object(file, rng), file["trajvae"]), rng)
    key, kind = pick([*item.attrs, "unit"], rng), h5t.C_S1.copy()
    text = pick((b"\xff\xfe", b"\xe9", b"model\0\0x", b"\xed\xa0\x80", b"model   ", b"\0" * 8), rng)
    kind.set_size(len(text))
    kind.set_cset(pick((h5t.CSET_ASCII, h5t.CSET_UTF8), rng))
    kind.set_strpad(pick((h5t.STR_NULLTERM, h5t.STR_NULLPAD, h5t.STR_SPACEPAD), rng))
    if key in item.attrs:
        del item.attrs[key]
    made = h5a.create(item.id, key.encode(), kind, h5s.create(h5s.SCALAR))
    made.write(np.array(text, dtype=f"S{len(text)}"))


def _attribute_names(file: h5py.File, rng: Rng) -> None:
    item, name = an_object(file, rng), pick((b"\xff", b"x" * 20_000, b"a\nb", b"", b"/"), rng)
    h5a.create(item.id, name, h5t.NATIVE_INT32, h5s.create(h5s.SCALAR))


def _many_attributes(file: h5py.File, rng: Rng) -> None:
    item = an_object(file, rng)
    for k in range(int(pick((9, 300), rng))):
        item.attrs[f"a{k}"] = "x" * int(pick((1, 2000), rng))


def _json(file: h5py.File, rng: Rng) -> None:
    """Another value somewhere in what is stored as JSON."""
    marks = file["trajvae"].attrs
    key = pick([k for k in ("config", "summary", "reading") if k in marks], rng)
    whole = json.loads(marks[key])
    place, index = {"": whole}, ""
    while isinstance(place[index], dict | list) and place[index] and (place[index] is whole or rng.random() < 0.7):
        place = place[index]
        index = pick(list(place) if isinstance(place, dict) else range(len(place)), rng)
    value = pick((*NUMBERS, *TEXTS, None, True, [], {}, [[]] * 3, {"a": {}}, 10**400, [0] * 5000, "9" * 5000), rng)
    if rng.random() < 0.15 and isinstance(place, dict):
        del place[index]
    else:
        place[index] = value
    marks[key] = json.dumps(whole)


def _json_text(file: h5py.File, rng: Rng) -> None:
    """JSON that is deep, cut, long, doubled, or none."""
    marks = file["trajvae"].attrs
    key = pick([k for k in ("config", "summary", "reading") if k in marks], rng)
    text, depth = str(marks[key]), int(pick((40, 600, 5000), rng))
    marks[key] = pick(
        (text[:-1] + ', "d": ' + "[" * depth + "]" * depth + "}", text[: int(rng.integers(len(text)))], "[]", "1",
         "null", '""', "NaN", text + text, "\ufeff" + text, text.replace("e", "\\u0065"),
         text[:-1] + ', "backend": "embedded"}', text.replace(": ", ": -", 3), '{"a": ' * depth + "1" + "}" * depth),
        rng,
    )  # fmt: skip


OF_TEXT: tuple[Operator, ...] = (
    _words, _words, _drop_attribute, _attribute, _attribute, _attribute, _odd_text, _odd_text, _attribute_names,
    _many_attributes, _json, _json, _json, _json, _json_text,
)  # fmt: skip
