"""Every result is read as it was saved, from files of Python and of the commands alike; damage is one line."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trajvae import Model
from trajvae.errors import OutputError, ReadError
from trajvae.outputs.embed import embed_to
from trajvae.readers.sources import open_source
from trajvae.results import Comparison, Conformations, Embedding, Marginals, TrainedModel, load, load_latent_points
from trajvae.store import Quantity, read_contents
from trajvae.topology import Topology
from trajvae.typing import Float32

CONFORMATIONS = ("generate.h5md", "optimize.h5md", "path.h5md")
CLASSES = {
    "embed.h5": Embedding,
    "marginals.h5": Marginals,
    "compare.h5": Comparison,
    "model.h5": TrainedModel,
    **dict.fromkeys(CONFORMATIONS, Conformations),
}


def same(first: object, second: object) -> bool:
    """Return whether two values are equal, arrays and what holds them to the last bit."""
    if isinstance(first, Quantity) and isinstance(second, Quantity):
        return first.unit == second.unit and first.period == second.period and same(first.value, second.value)
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return first.shape == second.shape and np.array_equal(first, second, equal_nan=first.dtype.kind == "f")
    if isinstance(first, float) and isinstance(second, float):
        return first == second or (first != first and second != second)
    if isinstance(first, tuple | list) and isinstance(second, tuple | list):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second


def differing(first: object, second: object, *skipped: str) -> list[str]:
    """Return the fields in which two results differ."""
    names = [name for name in vars(first) if name not in skipped]
    return [name for name in names if not same(getattr(first, name), getattr(second, name))]


@pytest.mark.parametrize("name", CLASSES)
def test_load_gives_the_class_of_the_file(name: str, written: Path) -> None:
    """By its kind, not by its name; and what it holds shows itself in a line."""
    found = load(written / name)
    assert type(found) is CLASSES[name]
    assert type(CLASSES[name].load(str(written / name))) is CLASSES[name]
    assert repr(found).startswith(f"<{CLASSES[name].__name__}") and "\n" not in repr(found)


def test_an_embedding_is_read_as_it_was(made: dict[str, Any], written: Path) -> None:
    """All fields; and the file of the loaded one holds the same."""
    held, found = made["embed.h5"], Embedding.load(written / "embed.h5")
    assert not differing(held, found, "path", "applied")
    assert found.path == str(written / "embed.h5") and found.model_hash == held.applied.model_hash != ""
    assert found.applied.attributes() == held.applied.attributes()
    assert found.columns.keys() == held.columns.keys() and found.figures["frames"] == 400


@pytest.mark.filterwarnings("ignore:no topology")
def test_an_embedding_that_came_in_pieces(tiny_model: Model, chain: Float32, tmp_path: Path) -> None:
    """The file of the command, written chunk by chunk, has the same fields as what `Model.encode` saves."""
    whole = tiny_model.encode(chain.copy())
    frames = open_source(chain.copy())
    figures = embed_to(
        tmp_path / "embed.h5", tiny_model.pipeline, frames, command="trajvae embed", seed=3, record=tiny_model.record
    )
    found = Embedding.load(tmp_path / "embed.h5")
    assert found.command == "trajvae embed" and found.seed == 3 and found.figures["rmsd"] == figures["rmsd"]
    assert not differing(whole, found, "path", "applied", "command", "seed", "figures")


def test_marginals_are_read_as_they_were(made: dict[str, Any], written: Path, tmp_path: Path) -> None:
    """Every observable's histograms and figures, the wide ones, and the verdicts by kind; written again too."""
    held, found = made["marginals.h5"], Marginals.load(written / "marginals.h5")
    assert not differing(held, found, "table") and list(found.table) == list(held.table)
    for name, marginal in held.table.items():
        assert not differing(marginal, found.table[name])
    found.save(tmp_path / "again.h5")
    again, first = (read_contents(path) for path in (tmp_path / "again.h5", written / "marginals.h5"))
    assert same(again.tree["table"], first.tree["table"]) and same(again.tree["marginals"], first.tree["marginals"])


def test_marginals_without_wide_histograms(made: dict[str, Any], tmp_path: Path) -> None:
    """Of observables of which little lies beyond the bins; the file repeats their own histograms."""
    held = made["marginals.h5"]
    narrow = dataclasses.replace(held.table["rg"], wide=None)
    dataclasses.replace(held, table={**held.table, "rg": narrow}).save(tmp_path / "marginals.h5")
    found = Marginals.load(tmp_path / "marginals.h5").table
    assert found["rg"].wide is None and not differing(narrow, found["rg"])
    assert sum(m.wide is not None for m in found.values()) == sum(m.wide is not None for m in held.table.values()) - 1


def test_marginals_of_an_older_file(made: dict[str, Any], written: Path, tmp_path: Path, edited) -> None:
    """Without a table of all observables and without kinds: by the groups of each."""
    shutil.copy(written / "marginals.h5", tmp_path)
    with edited(tmp_path / "marginals.h5") as file:
        del file["table"], file["kinds"], file["marginals/rg"].attrs["w1"]
    held, found = made["marginals.h5"], Marginals.load(tmp_path / "marginals.h5")
    assert found.kinds == () and set(found.table) == set(held.table)
    assert np.isnan(found.table["rg"].w1) and differing(held.table["rg"], found.table["rg"], "wide") == ["w1"]


@pytest.mark.parametrize("name", CONFORMATIONS)
def test_conformations_are_read_as_they_were(name: str, made: dict[str, Any], written: Path) -> None:
    """Positions in the precision of the file; everything else to the last bit, what made them included."""
    held, found = made[name], Conformations.load(written / name)
    assert not differing(held, found, "positions", "topology")
    np.testing.assert_allclose(found.positions, held.positions, rtol=0.0, atol=1e-5)
    assert held.task == found.task == name.split(".")[0]
    assert (found.descent is not None) == (name == "optimize.h5md")
    assert not differing(held.topology, found.topology)


def test_conformations_are_saved_again(written: Path, tmp_path: Path) -> None:
    """The file of what was loaded holds the same numbers."""
    Conformations.load(written / "optimize.h5md").save(tmp_path / "again.h5md")
    again, first = (read_contents(path) for path in (tmp_path / "again.h5md", written / "optimize.h5md"))
    assert same(again.tree["observables"], first.tree["observables"])
    np.testing.assert_allclose(again.tree["coordinates"], first.tree["coordinates"], rtol=1e-6)
    assert again.attributes["model_hash"] == first.attributes["model_hash"] and again.command == first.command


def test_masses_are_those_of_the_elements(tmp_path: Path) -> None:
    """The file holds none; where elements are unknown all atoms weigh one."""
    topology = Topology.anonymous(3)
    atoms = dataclasses.replace(topology, names=np.array(["C1", "O1", "M"]), elements=np.array(["C", "O", ""]))
    for name, held, masses in (("atoms", atoms, [12.011, 15.999, 0.0]), ("beads", topology, [1.0, 1.0, 1.0])):
        rows = (np.zeros((2, 3, 3)), np.zeros((2, 1)), np.ones(2, dtype=bool))
        Conformations(*rows, held, geometry="e1").save(tmp_path / f"{name}.h5md")
        found = Conformations.load(tmp_path / f"{name}.h5md").topology
        np.testing.assert_allclose(found.masses, masses, atol=1e-2)


def test_positions_that_were_not_read(written: Path, tmp_path: Path) -> None:
    """Their shape is known, they take no memory, and nothing is made of them."""
    found = Conformations.load(written / "generate.h5md", positions=False)
    assert len(found) == 50 and found.positions.shape == Conformations.load(written / "generate.h5md").positions.shape
    assert not found.has_positions and "positions not read" in repr(found)
    for use in (found.universe, found.to_mdtraj, lambda: found.save(tmp_path / "x.h5md")):
        with pytest.raises(OutputError, match="were not read"):
            use()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("command", "observables", "extra", "task"),
    [
        ("trajvae path --from 0 --to 97", {}, {}, "path"),
        ("Model.optimize('rg')", {}, {}, "optimize"),
        ("trajvae generate -n 5", {"speed": Quantity(np.ones(2))}, {}, "generate"),
        ("", {"speed": Quantity(np.ones(2))}, {}, "path"),
        ("Conformations.save", {}, {"path": {}}, "optimize"),
        ("trajvae pathological", {}, {}, "generate"),
    ],
)
def test_which_command_made_them(command: str, observables: dict, extra: dict, task: str, written: Path) -> None:
    """Its text says it; where it does not, what is held."""
    held = Conformations.load(written / "generate.h5md")
    assert dataclasses.replace(held, command=command, observables=observables, extra=extra).task == task


def test_a_comparison_is_read_as_it_was(made: dict[str, Any], written: Path) -> None:
    """Candidates in their order with all figures, and so what follows from them."""
    held, found = made["compare.h5"], Comparison.load(written / "compare.h5")
    assert not differing(held, found, "entries") and list(found.entries) == list(held.entries)
    for name, entry in held.entries.items():
        mine, theirs = dict(entry.figures), dict(found.entries[name].figures)
        np.testing.assert_allclose(theirs.pop("bounds"), mine.pop("bounds"), rtol=1e-12)
        assert same(mine, theirs) and not differing(entry, found.entries[name], "figures")
    assert found.best == held.best and found.within_error == held.within_error


def test_a_model_s_training(tiny_model: Model, written: Path) -> None:
    """History, figures, and the latent points of the frames."""
    found = TrainedModel.load(written / "model.h5")
    record = tiny_model.record
    assert same(found.latent, record.latent) and same(found.file, record.file) and same(found.frame, record.frame)
    assert same(dict(found.history), {k: np.asarray(v, dtype=np.float64) for k, v in record.history.items()})
    assert found.figures["rmsd"] == tiny_model.figures["rmsd"] and same(dict(found.columns), record.frame_observables)
    assert "euclidean latent space of dimension 2" in repr(found)
    assert type(load_latent_points(written / "model.h5")) is TrainedModel


@pytest.mark.parametrize("name", [n for n in CLASSES if n != "embed.h5"])
def test_another_kind_is_refused(name: str, written: Path) -> None:
    """In one line that names both kinds."""
    with pytest.raises(ReadError, match="wanted: embedding"):
        Embedding.load(written / name)


@pytest.mark.parametrize(
    ("name", "lost"),
    [
        ("embed.h5", "observables/frame_jump"),
        ("marginals.h5", "table/edges"),
        ("compare.h5", "compare"),
        ("path.h5md", "observables/valid"),
        ("path.h5md", "topology"),
        ("model.h5", "trajvae/training/latent"),
    ],
)
def test_what_is_missing_is_one_line(name: str, lost: str, written: Path, tmp_path: Path, edited) -> None:
    """A file that lacks what its kind must hold is damaged, by name."""
    shutil.copy(written / name, tmp_path)
    with edited(tmp_path / name) as file:
        del file[lost]
    with pytest.raises(ReadError, match=f"'{tmp_path / name}' is damaged or incomplete"):
        CLASSES[name].load(tmp_path / name)


@pytest.mark.parametrize("lost", ["latent_scale", "rmsd", "in_support", "rg"])
def test_what_older_embeddings_lack(lost: str, written: Path, tmp_path: Path, edited) -> None:
    """Numbers that an earlier version did not write are NaN or missing; the rest is there."""
    shutil.copy(written / "embed.h5", tmp_path)
    with edited(tmp_path / "embed.h5") as file:
        del file[f"observables/{lost}"]
        for name in ("model_hash", "reading", "summary"):
            file["trajvae"].attrs.pop(name, None)
    found = Embedding.load(tmp_path / "embed.h5")
    assert found.model_hash == "" and found.figures == {} and found.reading.topologies == ()
    assert lost not in found.columns or np.isnan(found.columns[lost].value).all()


def test_results_need_no_torch() -> None:
    """Neither torch nor MDAnalysis is imported with them."""
    code = "import sys, trajvae.results; print(*[m for m in ('torch', 'MDAnalysis', 'mdtraj') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == ""
