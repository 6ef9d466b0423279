"""Checksums: one bit that flips anywhere is found, whole and piecewise writing give the same ones, old files load."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from trajvae import Model
from trajvae.errors import ReadError
from trajvae.store import (
    Header,
    Quantity,
    conformations_file,
    describe,
    read_conformations,
    read_contents,
    read_model,
    read_table,
    table_file,
    verification,
    write_conformations,
    write_table,
)
from trajvae.topology import Topology

HEADER = Header("embedding", "trajvae test", 1, created="2026-01-01T00:00:00+00:00")
TOPOLOGY = Topology.anonymous(4)
MOST = 6  # arrays of a file
FILES = ("model.h5", "embed.h5", "marginals.h5", "compare.h5", "generate.h5md", "optimize.h5md", "path.h5md")


def read_all(path: Path) -> None:
    """As commands read it."""
    if path.name == "model.h5":
        read_model(path)
    elif path.suffix == ".h5md":
        read_conformations(path)
        read_contents(path)
    else:
        read_contents(path)


def places_of(path: Path) -> dict[str, tuple[int, int]]:
    """Where some arrays lie in their file: the first byte, and their number; `benchmarks/integrity.py` has all."""
    out = {}
    with h5py.File(path) as file:
        items: list[h5py.Dataset] = []
        file.visititems(lambda _, item: items.append(item) if isinstance(item, h5py.Dataset) else None)
        for item in items:
            if item.id.get_offset() is not None and item.size:
                out[item.name] = (item.id.get_offset(), item.id.get_storage_size())
    names = sorted(out)
    return {name: out[name] for name in {*names[:: -(-len(names) // MOST)], "/trajvae/checksums"}}


def flip(content: bytes, bit: int) -> bytes:
    """Another value of one bit."""
    out = bytearray(content)
    out[bit // 8] ^= 1 << bit % 8
    return bytes(out)


@pytest.mark.parametrize("name", FILES)
def test_a_bit_that_flips_in_any_array_is_found(written: Path, tmp_path: Path, name: str) -> None:
    """The first, the last and one in between; the message names the array, and the list of checksums is one."""
    content, rng = (written / name).read_bytes(), np.random.default_rng(0)
    (tmp_path / name).write_bytes(content)
    read_all(tmp_path / name)
    places = places_of(tmp_path / name)
    assert "/trajvae/checksums" in places and len(places) > 3
    for array, (first, size) in places.items():
        for bit in (8 * first, 8 * (first + size) - 1, 8 * first + int(rng.integers(8 * size))):
            (tmp_path / name).write_bytes(flip(content, bit))
            with pytest.raises(ReadError, match=r"damaged") as caught:
                describe(tmp_path / name)
            assert "\n" not in str(caught.value) and str(tmp_path / name) in str(caught.value), array


@pytest.mark.parametrize("name", FILES)
def test_commands_find_it_where_they_read_the_array(written: Path, tmp_path: Path, name: str) -> None:
    """Each array that a command reads is compared when it is read."""
    content = (written / name).read_bytes()
    for first, size in places_of(written / name).values():
        (tmp_path / name).write_bytes(flip(content, 8 * (first + size // 2)))
        with pytest.raises(ReadError, match="damaged"):
            read_all(tmp_path / name)


def test_a_bit_that_flips_anywhere_is_found_or_means_nothing(written: Path, tmp_path: Path) -> None:
    """In headers, names, attributes and texts too: a file that is read holds what it held."""
    path, rng = tmp_path / "embed.h5", np.random.default_rng(1)
    content = (written / "embed.h5").read_bytes()
    sound, found = repr(describe(written / "embed.h5") | {"file": ""}), 0
    for bit in rng.integers(8 * len(content), size=100):
        path.write_bytes(flip(content, int(bit)))
        try:
            assert repr(describe(path) | {"file": ""}) == sound
        except ReadError as error:
            found += 1
            assert "\n" not in str(error)
    assert found > 60  # most bits are of arrays


def delete(name: str) -> Callable[[h5py.File], Any]:
    """Take an object out."""
    return lambda file: file.__delitem__(name)


ALTERATIONS: dict[str, tuple[Callable[[h5py.File], Any], str]] = {
    "a number": (lambda f: f["observables/rmsd/value"].__setitem__(1, 5.0), "array '/observables/rmsd/value'"),
    "a word": (lambda f: f["trajvae/files"].__setitem__(0, "b.dcd"), "array '/trajvae/files'"),
    "gone": (delete("observables/rmsd/time"), "'/observables/rmsd/time' is missing"),
    "a group gone": (delete("observables/rmsd"), "'/observables/rmsd' is missing"),
    "added": (lambda f: f.__setitem__("observables/new", [1.0]), "'/observables/new' was not there"),
    "renamed": (lambda f: f.move("trajvae/files", "trajvae/names"), "'/trajvae/names' was not there"),
    "another link": (
        lambda f: [f.__delitem__("trajvae/frame"), f.__setitem__("trajvae/frame", f["trajvae/file"])],
        "array '/trajvae/frame'",
    ),
    "swapped types": (
        lambda f: [f.__delitem__("trajvae/frame"), f.__setitem__("trajvae/frame", np.arange(3, dtype=np.int32))],
        "array '/trajvae/frame'",
    ),
    "a unit": (lambda f: f["observables/rmsd/value"].attrs.__setitem__("unit", "nm"), "attributes of '/observables/r"),
    "no unit": (lambda f: f["observables/rmsd/value"].attrs.__delitem__("unit"), "attributes of '/observables/rmsd/"),
    "an attribute": (lambda f: f["trajvae"].attrs.__setitem__("summary", "{}"), "attributes of '/trajvae'"),
    "one more": (lambda f: f.attrs.__setitem__("note", "mine"), "attributes of '/' differ"),
    "the checksums gone": (delete("trajvae/checksums"), "list of checksums"),
    "their seal gone": (lambda f: f["trajvae"].attrs.__delitem__("checksum"), "list of checksums"),
    "no list": (lambda f: f["trajvae"].attrs.__setitem__("checksum", "x"), "list of checksums"),
    "deep": (lambda f: reseal(f, b"[" * 9999), "list of checksums"),
    "of another form": (lambda f: reseal(f, b'{"/": 3}'), "list of checksums"),
    "a list of lists": (lambda f: reseal(f, b"[[1, 2]]"), "list of checksums"),
}


def reseal(file: h5py.File, text: bytes) -> None:
    """Another list of checksums, with the checksum of it."""
    del file["trajvae/checksums"]
    file["trajvae"].create_dataset("checksums", data=np.bytes_(text))
    file["trajvae"].attrs["checksum"] = zlib.crc32(text)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A small embedding."""
    extra = {"file": np.zeros(3, dtype=np.int64), "frame": np.arange(3), "files": np.array(["a.dcd"])}
    write_table(
        tmp_path / "t.h5", HEADER, observables={"rmsd": Quantity(np.arange(3.0), "Angstrom")}, extra=extra,
        attributes={"summary": '{"a": 1}'},
    )  # fmt: skip
    return tmp_path / "t.h5"


@pytest.mark.parametrize("change, words", ALTERATIONS.values(), ids=ALTERATIONS)
def test_alterations_are_named(table: Path, change: Callable[[h5py.File], Any], words: str) -> None:
    """One line with the file, what differs and the way out; and the way out is one."""
    with h5py.File(table, "r+") as file:
        change(file)
    for read in (describe, lambda p: read_table(p, "embedding"), read_contents):
        with pytest.raises(ReadError, match=words) as caught:
            read(table)
        assert str(caught.value).startswith(f"'{table}'") and "--no-verify" in str(caught.value)
        assert "\n" not in str(caught.value)
    with verification(wanted=False):
        assert read_contents(table).kind == "embedding"
        assert describe(table)["verified"] is False
    with pytest.raises(ReadError):
        describe(table)


def test_files_of_older_versions_load(table: Path, edited) -> None:
    """They have no checksums; nothing is said of it but by `describe`."""
    assert describe(table)["verified"] is True
    with edited(table) as file:
        file["observables/rmsd/value"][1] = 5.0
    assert read_table(table, "embedding")["observables"]["rmsd"]["value"].tolist() == [0.0, 5.0, 2.0]
    assert describe(table)["verified"] is False


def test_checksums_are_no_content(table: Path) -> None:
    """They stand in no tree and in no list of datasets."""
    assert set(read_table(table, "embedding")["trajvae"]) == {"file", "frame", "files"}
    assert not any("checksums" in name for name in describe(table)["datasets"])


def test_a_model_that_was_altered_on_purpose_loads(tiny_model: Model, tmp_path: Path) -> None:
    """By a word; and is sound again when it is saved."""
    path = tmp_path / "model.h5"
    tiny_model.save(path)
    with h5py.File(path, "r+") as file:
        file["trajvae/weights/encoder.head.bias"][0] += 1.0
    with pytest.raises(ReadError, match=r"/trajvae/weights/encoder.head.bias.*verify=False"):
        Model.load(path, "cpu")
    Model.load(path, "cpu", verify=False).save(path, force=True)
    assert Model.load(path, "cpu").pipeline.vae is not None


def _rows(rows: slice) -> dict[str, Quantity]:
    words = np.array(["a", "", "β", "d", "e"])
    return {"rg": Quantity(np.arange(5.0)[rows], "Angstrom"), "why": Quantity(words[rows])}


@pytest.mark.parametrize("cuts", [(0, 5), (0, 1, 5), (0, 2, 2, 3, 5)])
def test_pieces_have_the_checksums_of_the_whole(tmp_path: Path, cuts: tuple[int, ...]) -> None:
    """Conformations and tables that are written piece by piece are the same files, and are read without an error."""
    x = np.random.default_rng(0).normal(size=(5, 4, 2))
    header = Header("conformations", "trajvae test", 1, created=HEADER.created)
    write_conformations(tmp_path / "whole.h5md", x, TOPOLOGY, _rows(slice(0, 5)), header, {"a": 1})
    with conformations_file(tmp_path / "p.h5md", x.shape, TOPOLOGY, header) as out:
        for a, b in pairwise(cuts):
            out.append(x[a:b], _rows(slice(a, b)))
        out.describe({"a": 1})
    with table_file(tmp_path / "t.h5", 5, HEADER) as rows:
        for a, b in pairwise(cuts):
            time = np.arange(a, b, dtype=np.float64)
            rows.append({"rg": _rows(slice(a, b))["rg"]}, np.arange(a, b), time, {"n": np.arange(a, b, dtype=np.int8)})
    sums: list[dict[str, Any]] = []
    for name in ("whole.h5md", "p.h5md"):
        with h5py.File(tmp_path / name) as file:
            sums.append({k: v[:2] for k, v in json.loads(file["trajvae/checksums"][()]).items()})
        read_conformations(tmp_path / name)
        assert describe(tmp_path / name)["verified"]
    assert sums[0] == sums[1] and sums[0]["/coordinates"] == sums[0]["/particles/trajectory/position/value"]
    assert describe(tmp_path / "t.h5")["verified"]


def test_arrays_larger_than_a_piece_are_compared_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row by row where rows are long; and arrays of another byte order have the checksum of their numbers."""
    value = np.arange(600.0).reshape(20, 30)
    write_table(tmp_path / "t.h5", HEADER, extra={"x": value, "y": value.astype(">f4")})
    monkeypatch.setattr("trajvae.store.crc32._BYTES_AT_ONCE", 1000)
    assert describe(tmp_path / "t.h5")["verified"]
    with h5py.File(tmp_path / "t.h5", "r+") as file:
        file["trajvae/x"][19, 29] = 0.0
    with pytest.raises(ReadError, match="'/trajvae/x'"):
        describe(tmp_path / "t.h5")


@pytest.mark.parametrize("value", [True, False, [True, False]])
def test_every_bit_of_a_truth_value_counts(tmp_path: Path, value: Any) -> None:
    """Alone or among others: seven of its eight bits say nothing, and are compared too."""
    write_table(tmp_path / "t.h5", HEADER, extra={"x": np.asarray(value), "frame": np.arange(3)})
    content, (first, size) = (tmp_path / "t.h5").read_bytes(), places_of(tmp_path / "t.h5")["/trajvae/x"]
    for bit in range(8 * first, 8 * (first + size)):
        (tmp_path / "t.h5").write_bytes(flip(content, bit))
        for read in (describe, lambda p: read_table(p, "embedding")):
            with pytest.raises(ReadError, match="'/trajvae/x'"):
                read(tmp_path / "t.h5")


def test_the_same_content_is_the_same_file(tmp_path: Path) -> None:
    """Bit for bit."""
    for name in "ab":
        write_table(tmp_path / name, HEADER, extra={"x": np.arange(3), "deep": {"y": np.array(["z"])}})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
