"""Export folders: what engines read, the atoms' numbers, ranges, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path

import MDAnalysis as mda
import numpy as np
import pytest
import torch

from trajvae import Model
from trajvae.errors import ModelError, OptionError, OutputError, ReadError
from trajvae.export import Export, LatentCV, export
from trajvae.export.coordinates import bias_range, coordinates_of, with_slopes
from trajvae.export.description import CoordinateDescription
from trajvae.export.engine_inputs import plumed_input
from trajvae.export.folder import check_folder
from trajvae.typing import Float64

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.load. is deprecated:DeprecationWarning")
Trained = Callable[..., Model]


@pytest.fixture(scope="module")
def made(trained: Trained, examples: Path) -> Export:
    """For PLUMED."""
    return export(trained(), "plumed", topology=examples / "alanine_dipeptide.pdb")


@pytest.fixture
def numbers(dipeptide: mda.Universe) -> list[int]:
    """Of the heavy atoms among all, from 1 on."""
    return [int(i) + 1 for i in dipeptide.select_atoms("not name H*").indices]


def test_plumed_counts_all_atoms(made: Export, numbers: list[int]) -> None:
    """Whole molecules first, positions without images, in the model's order, and every component printed."""
    text = made.files["plumed.dat"].decode()
    lines = text.splitlines()
    assert f"WHOLEMOLECULES ENTITY0={','.join(map(str, numbers))}" in lines
    positions = [line for line in lines if "POSITION ATOM" in line]
    assert positions == [f"p{n}: POSITION ATOM={n} NOPBC" for n in numbers]
    (model,) = (line for line in lines if line.startswith("cv: PYTORCH_MODEL FILE=cv.pt ARG="))
    assert model.split("ARG=")[1].split(",") == [f"p{n}.{axis}" for n in numbers for axis in "xyz"]
    assert "PRINT ARG=cv.node-0,cv.node-1 STRIDE=500 FILE=COLVAR" in lines
    assert "UNITS" not in text


def test_the_program_takes_what_the_input_file_gives(made: Export, dipeptide: mda.Universe, tmp_path: Path) -> None:
    """Positions of the numbered atoms in nm, in the order of ARG, give the latent point."""
    made.save(tmp_path / "out")
    text = (tmp_path / "out" / "plumed.dat").read_text()
    order = [(int(n) - 1, "xyz".index(axis)) for n, axis in re.findall(r"p(\d+)\.([xyz])", text)]
    x = np.array([0.1 * dipeptide.atoms.positions[i, k] for i, k in order])
    program = torch.jit.load(tmp_path / "out" / "cv.pt")
    z = program(torch.tensor(x, dtype=torch.float32)[None])[0].numpy()
    heavy = dipeptide.select_atoms("not name H*").positions.astype(np.float64)
    model = Export.load(tmp_path / "out")
    assert model.figures == made.figures and list(model.files) == list(made.figures.files)
    np.testing.assert_allclose(z, _latent(made, heavy), atol=1e-5)


def _latent(made: Export, x: Float64) -> Float64:
    import io

    program = torch.export.load(io.BytesIO(made.files["cv.pt2"])).module()
    return np.asarray(program(torch.tensor(x.reshape(1, -1) / 10.0, dtype=torch.float32)).numpy()[0])


def test_the_description_says_what_a_reader_needs(made: Export, trained: Trained, numbers: list[int]) -> None:
    """Unit, ranges of the training latents, atoms, versions and hashes."""
    said, model = json.loads(made.files["cv.json"]), trained()
    assert said["to"] == "plumed" and said["unit"] == "nm" and said["input"]["shape"] == [1, 30]
    latent = model.record.latent
    for k, column in enumerate(latent.T):
        output = said["outputs"][k]
        assert output["name"] == f"z{k}" and output["low"] == column.min() and output["high"] == column.max()
        assert output["spread"] == pytest.approx(column.std()) and 0.0 < output["width"] <= 0.21 * column.std()
    assert [atom["number"] for atom in said["selected"]] == numbers
    assert said["selected"][0] == {"name": "CH3", "resname": "ACE", "resid": 1, "chain": "A", "number": 2}
    assert said["versions"]["torch"] == torch.__version__ and len(said["hashes"]["training"]) == 64
    text = made.files["README.txt"].decode()
    assert said["hashes"]["training"] in text and "positions in nm" in text
    pdb = made.files["selection.pdb"].decode()
    assert sum(line.startswith(("ATOM", "HETATM")) for line in pdb.splitlines()) == 10


def test_colvars_has_a_variable_for_each_component(trained: Trained, examples: Path, numbers: list[int]) -> None:
    """In Å unless nm are asked for, as GROMACS has them."""
    made = export(trained("hyperspherical"), "colvars", topology=examples / "alanine_dipeptide.pdb", dtype="float64")
    text = made.files["colvars.in"].decode()
    assert made.figures.unit == "angstrom" and text.count("{") == text.count("}")
    assert re.findall(r"output_component (\d)", text) == ["0", "1", "2"]
    blocks = re.findall(r"atomNumbers \{([^}]*)\}", text)
    assert [list(map(int, block.split())) for block in blocks] == [numbers] * 3
    assert "plumed.dat" not in made.files and repr(made) == (
        "<Export for colvars, 3 outputs of 10 atoms in angstrom, float64>"
    )


def test_angstrom_for_plumed_is_its_unit_too(made: Export, trained: Trained) -> None:
    """A coordinate in Å comes with PLUMED's own word for it."""
    figures = dataclasses.replace(made.figures, unit="angstrom")
    described = CoordinateDescription.of(trained(), figures, np.arange(1, 11))
    assert "UNITS LENGTH=A" in plumed_input(described)


def test_engines_need_the_topology_of_the_simulation(trained: Trained, adk: tuple[Path, Path]) -> None:
    """Its own, and not another molecule's; for torch alone there is no need."""
    with pytest.raises(OptionError, match="-s/--topology"):
        export(trained(), "plumed")
    with pytest.raises(ModelError, match="is not in"):
        export(trained(), "colvars", topology=adk[0])
    with pytest.raises(OptionError, match="no engine 'gromacs'"):
        export(trained(), "gromacs")
    assert list(export(trained()).files) == ["cv.pt", "cv.pt2", "selection.pdb", "README.txt", "cv.json"]


def test_nothing_is_replaced_without_force(made: Export, tmp_path: Path) -> None:
    """One file that exists refuses all, before any work too; a folder that could not be filled is not left."""
    folder = tmp_path / "out"
    check_folder(folder, "plumed", force=False)
    made.save(folder)
    (folder / "cv.json").unlink()
    with pytest.raises(OutputError, match=r"cv\.pt' exists"):
        made.save(folder)
    assert not (folder / "cv.json").exists()
    with pytest.raises(OutputError, match="exists"):
        check_folder(folder, "plumed", force=False)
    check_folder(folder, "plumed", force=True)
    made.save(folder, force=True)
    with pytest.raises(OutputError, match="is a file"):
        check_folder(folder / "cv.json", "plumed", force=True)
    with pytest.raises(OutputError, match="cannot make the folder"):
        made.save(tmp_path / "no" / "such")


def test_damaged_folders_are_told(made: Export, tmp_path: Path) -> None:
    """An empty folder, and one whose cv.json is none."""
    with pytest.raises(ReadError, match="no export"):
        Export.load(tmp_path)
    for text in ("[1]", "{}", '{"files": ["../secret"]}', '{"files": ["cv.pt"]}', '{"files": 3}'):
        (tmp_path / "cv.json").write_text(text)
        with pytest.raises(ReadError, match="no export"):
            Export.load(tmp_path)


def test_ranges_hold_the_training_frames(trained: Trained) -> None:
    """A bias reaches beyond them, by a quarter of the range at least."""
    model = trained("product")
    for c, column in zip(coordinates_of(model), model.record.latent.T, strict=True):
        low, high = bias_range(c)
        assert low <= column.min() - 0.25 * np.ptp(column) and high >= column.max() + 0.25 * np.ptp(column)
        assert c.width >= 0.02 * np.ptp(column)
    assert LatentCV(model).n_outputs == len(coordinates_of(model))


@pytest.mark.parametrize("backend", ["euclidean", "hyperspherical"])
def test_slopes_are_those_of_finite_differences(trained: Trained, backend: str) -> None:
    """The median and the largest length of gradients, by moving every atom along each axis."""
    model = trained(backend)
    x, cv, step = model.record.sample[:40].astype(float), LatentCV(model), 1e-4
    found = with_slopes(coordinates_of(model), cv, x)
    moves = step * np.eye(x[0].size).reshape(-1, *x[0].shape)
    lengths = [np.linalg.norm((cv(frame + moves) - cv(frame - moves)) / (2 * step), axis=0) for frame in x]
    np.testing.assert_allclose([c.slope for c in found], np.median(lengths, axis=0), rtol=1e-4)
    np.testing.assert_allclose([c.steepest for c in found], np.max(lengths, axis=0), rtol=1e-4)
