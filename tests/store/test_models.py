"""Model files: everything comes back, nothing executes, alterations are noticed."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from trajvae.errors import ModelError, OutputError, ReadError, TrajvaeError
from trajvae.store import Header, read_model, write_model
from trajvae.store.models import ModelContents, reference_hash


@pytest.fixture
def record():
    """A record with every kind of content."""
    rng = np.random.default_rng(0)
    groups = {
        "weights": {"encoder.0.weight": rng.normal(size=(4, 3)).astype(np.float32), "latent.scale": np.float64(2.0)},
        "topology": {"names": np.array(["Å", "CA", ""]), "bonds": np.empty((0, 2), dtype=np.int64)},
        "history": {"elbo": np.array([1.0, np.nan, np.inf])},
        "training": {"held_out": np.array([True, False]), "files": np.array(["läuft.xtc", "b c.dcd"])},
    }
    config = {"backend": "euclidean", "hidden": [16, 16], "select": "name Å", "beta": 0.1}
    header = Header("model", "trajvae train läuft.xtc", 3)
    return ModelContents(header, "complete", config, {"elbo": -12.5, "rmsd": 0.1}, rng.normal(size=(3, 3)), groups)


@pytest.fixture
def path(record, tmp_path):
    """It on disk."""
    write_model(tmp_path / "model.h5", record)
    return tmp_path / "model.h5"


def assert_same(a, b):
    """Nested arrays, bit for bit."""
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for name in a:
            assert_same(a[name], b[name])
        return
    left, right = np.asarray(a), np.asarray(b)
    assert left.dtype.kind == right.dtype.kind and left.shape == right.shape
    assert left.dtype.kind == "U" or left.dtype == right.dtype
    np.testing.assert_array_equal(left, right)


def test_a_record_comes_back_whole(record, path):
    """Header, status, JSON, the reference bit for bit, text with Å, NaN and empty arrays."""
    got = read_model(path)
    assert got.header == record.header and got.status == "complete"
    assert (got.config, got.summary) == (record.config, record.summary)
    assert np.array_equal(got.reference, record.reference)
    assert_same(dict(record.groups), dict(got.groups))


def test_a_record_survives_a_second_round(path, tmp_path):
    """What was read can be written again, the same."""
    first = read_model(path)
    write_model(tmp_path / "again.h5", first)
    second = read_model(tmp_path / "again.h5")
    assert first.header == second.header
    assert_same(dict(first.groups), dict(second.groups))


def test_an_existing_model_stays(record, path):
    """Without force it is an error, with it the new one."""
    before = path.read_bytes()
    with pytest.raises(OutputError, match="exists"):
        write_model(path, record)
    assert path.read_bytes() == before
    write_model(path, ModelContents(record.header, "training", {}, {}, record.reference, {}), force=True)
    assert read_model(path).status == "training"


def test_what_cannot_be_written_leaves_the_old_model(record, path):
    """An array that HDF5 does not take, in the middle of writing."""
    before = path.read_bytes()
    bad = ModelContents(record.header, "complete", {}, {}, record.reference, {"x": np.array([{}, 1], dtype=object)})
    with pytest.raises(TypeError):
        write_model(path, bad, force=True)
    assert path.read_bytes() == before and [p.name for p in path.parent.iterdir()] == ["model.h5"]


def test_an_altered_reference_is_noticed(path, edited):
    """One coordinate by 1e-12 Å."""
    with edited(path) as file:
        file["trajvae/reference"][1, 1] += 1e-12
    with pytest.raises(ModelError, match="hash"):
        read_model(path)


def test_an_altered_hash_is_noticed(path, edited):
    """Or one that is gone."""
    with edited(path) as file:
        file["trajvae/reference"].attrs["sha256"] = "0" * 64
    with pytest.raises(ModelError, match="hash"):
        read_model(path)
    with edited(path) as file:
        del file["trajvae/reference"].attrs["sha256"]
    with pytest.raises(TrajvaeError):
        read_model(path)


def test_the_hash_is_of_the_values():
    """Whatever the memory order or byte order; any change of a bit changes it."""
    x = np.random.default_rng(0).normal(size=(4, 3))
    assert reference_hash(x) == reference_hash(np.asfortranarray(x)) == reference_hash(x.astype(">f8"))
    y = x.copy()
    y[0, 0] = np.nextafter(y[0, 0], 9)
    assert reference_hash(x) != reference_hash(y)


@pytest.mark.parametrize("missing", ["reference", "config", "summary", "status", "command", "seed", "version"])
def test_a_missing_part_is_an_error(path, missing, edited):
    """One line that names the file."""
    with edited(path) as file:
        group = file["trajvae"]
        if missing in group:
            del group[missing]
        else:
            del group.attrs[missing]
    with pytest.raises(TrajvaeError, match=path.name) as caught:
        read_model(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name, value", [("config", "{"), ("summary", "[1"), ("config", 3), ("seed", "x")])
def test_damaged_attributes_are_errors(path, name, value, edited):
    """JSON that is none, and numbers that are none."""
    with edited(path) as file:
        file["trajvae"].attrs[name] = value
    with pytest.raises(TrajvaeError) as caught:
        read_model(path)
    assert "\n" not in str(caught.value)


def test_another_file_is_no_model(tmp_path):
    """A missing one, and one of another kind, named."""
    with pytest.raises(ReadError, match=r"no file '.*none\.h5'"):
        read_model(tmp_path / "none.h5")
    with h5py.File(tmp_path / "e.h5", "w") as file:
        file.create_group("trajvae").attrs.update({"kind": "embedding", "schema": 1})
    with pytest.raises(ReadError, match="holds embedding; wanted: model"):
        read_model(tmp_path / "e.h5")


def test_a_real_model_has_units_and_no_pickle(tiny_model, tmp_path):
    """The file of a trained model: contract of DESIGN 4.3, and no dataset of opaque or object type."""
    tiny_model.save(tmp_path / "model.h5")
    with h5py.File(tmp_path / "model.h5") as file:
        group = file["trajvae"]
        assert group.attrs["kind"] == "model" and group.attrs["status"] == "complete"
        for name in ("schema", "version", "created", "command", "seed", "config"):
            assert name in group.attrs
        for name in ("weights", "reference", "topology", "history", "training/latent", "training/frame"):
            assert name in group
        assert group["reference"].attrs["unit"] == "Angstrom"
        assert group["training/sample"].attrs["unit"] == "Angstrom"
        kinds = []
        group.visititems(lambda _, item: kinds.append(item.dtype) if isinstance(item, h5py.Dataset) else None)
        assert all(k.kind in "fiub" or h5py.check_string_dtype(k) for k in kinds) and len(kinds) > 20
