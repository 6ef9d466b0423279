"""What `optimize` can follow: every name, a user's own function, and each wrong form."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import MDAnalysis as mda
import numpy as np
import pytest
import torch
from MDAnalysis.analysis.rms import rmsd

from trajvae import Model, Reading, TrainConfig
from trajvae.errors import OptionError, ReadError
from trajvae.molecule.observables import Observable, superposed_rmsd
from trajvae.outputs.optimize import Search, optimize
from trajvae.outputs.searching.objectives import Goal, parse_objective
from trajvae.typing import Float64, Floats

pytestmark = pytest.mark.filterwarnings("ignore:no topology")


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working folder, in which modules can be written; forgotten at the end."""
    before, path = set(sys.modules), list(sys.path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if name.startswith("own_"):
            del sys.modules[name]


def _value(objective: Observable, x: Floats) -> Float64:
    return objective.function(torch.from_numpy(x.astype(np.float64))).numpy()


def test_rg_and_end_to_end(tiny_model: Model, chain: Floats) -> None:
    """The built-in objectives, by both spellings."""
    ends = np.linalg.norm(chain[:, 0].astype(float) - chain[:, -1], axis=-1)
    for name in ("end-to-end", "end_to_end"):
        np.testing.assert_allclose(_value(parse_objective(name, tiny_model.pipeline), chain), ends)
    middle = chain.astype(float) - chain.astype(float).mean(axis=1, keepdims=True)
    twin = np.sqrt(np.square(middle).sum(axis=-1).mean(axis=1))
    np.testing.assert_allclose(_value(parse_objective("rg", tiny_model.pipeline), chain), twin)


def test_a_distance_counts_atoms_from_zero(tiny_model: Model, chain: Floats) -> None:
    """`distance:2,9` is between the third and the tenth selected atom, in Å."""
    objective = parse_objective("distance:2,9", tiny_model.pipeline)
    assert objective.unit == "Angstrom"
    twin = np.linalg.norm(chain[:, 2].astype(float) - chain[:, 9], axis=-1)
    np.testing.assert_allclose(_value(objective, chain), twin)


def test_an_rmsd_is_to_the_file_s_first_frame(tiny_model: Model, chain: Floats, tmp_path: Path) -> None:
    """`rmsd:FILE` is superposed, in Å, and zero for the turned target itself."""
    file = tmp_path / "target.npy"
    np.save(file, chain[[17, 3]])
    objective = parse_objective(f"rmsd:{file}", tiny_model.pipeline)
    assert objective.unit == "Angstrom"
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]])
    found = _value(objective, np.stack([chain[17] @ turn + 4.0, chain[3]]))
    assert found[0] < 1e-6
    expected = superposed_rmsd(torch.from_numpy(chain[3:4].astype(float)), torch.from_numpy(chain[17].astype(float)))
    assert found[1] == pytest.approx(float(expected[0]))


@pytest.fixture(scope="module")
def dipeptide(examples: Path) -> Model:
    """Alanine dipeptide's heavy atoms, barely trained."""
    reading = Reading(topology=examples / "alanine_dipeptide.pdb", stop=200)
    config = TrainConfig(epochs=3, hidden=(16,))
    return Model.train(examples / "alanine_dipeptide.xtc", config, reading=reading, device="cpu")


def test_an_rmsd_takes_the_model_s_selection(dipeptide: Model, examples: Path) -> None:
    """A PDB file of all atoms is cut to the atoms of the model; the value is MDAnalysis'."""
    objective = parse_objective(f"rmsd:{examples / 'alanine_dipeptide.pdb'}", dipeptide.pipeline)
    x = dipeptide.record.sample[:10].astype(np.float64)
    heavy = mda.Universe(str(examples / "alanine_dipeptide.pdb")).select_atoms("not name H*").positions.astype(float)
    np.testing.assert_allclose(_value(objective, x), [rmsd(f, heavy, superposition=True) for f in x], atol=1e-5)


def test_an_rmsd_takes_a_file_of_just_the_selected_atoms(examples: Path, tmp_path: Path) -> None:
    """A model of a named selection accepts a target that holds those atoms and no names."""
    reading = Reading(topology=examples / "alanine_dipeptide.pdb", select="name N CA C O CB", stop=100)
    config = TrainConfig(epochs=3, hidden=(16,))
    model = Model.train(examples / "alanine_dipeptide.xtc", config, reading=reading, device="cpu")
    file = tmp_path / "target.npy"
    np.save(file, model.record.sample[5:6])
    found = _value(parse_objective(f"rmsd:{file}", model.pipeline), model.record.sample[:10])
    assert int(np.argmin(found)) == 5
    assert found[5] < 1e-4


def test_a_user_s_function_is_imported_from_the_working_folder(tiny_model: Model, chain: Floats, modules: Path) -> None:
    """`module:function` finds a module that stands where one works."""
    (modules / "own_height.py").write_text("def height(x):\n    return x[..., 1].amax(dim=1) - x[..., 1].amin(dim=1)\n")
    objective = parse_objective("own_height:height", tiny_model.pipeline)
    np.testing.assert_allclose(_value(objective, chain), np.ptp(chain[..., 1], axis=1), rtol=1e-6)
    made = optimize(tiny_model.pipeline, tiny_model.record, objective, search=Search(starts=4, steps=5, draws=8))
    assert made.figures["objective"] == "own_height:height"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            ":",
            "volume",
            "RG",
            "distance",
            "distance:",
            "distance:1",
            "distance:1,",
            "distance:1,2,3",
            "distance:a,b",
        ),
        *("distance:1.5,2", "distance:3,3", "distance:-1,3", "distance:0,12", "rmsd", "rmsd:", "own_no_such:f"),
        *("math:no_such_function", "numpy.no.such:f", ":function", "module:", "..:f"),
    ],
)
def test_wrong_forms_are_refused(tiny_model: Model, text: str, modules: Path) -> None:
    """Each raises OptionError in one line that repeats what came."""
    with pytest.raises(OptionError) as caught:
        parse_objective(text, tiny_model.pipeline)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_target_of_another_molecule_is_refused(tiny_model: Model, chain: Floats, tmp_path: Path) -> None:
    """Another number of atoms, and a missing file, are errors that name the file."""
    np.save(tmp_path / "short.npy", chain[:1, :7])
    with pytest.raises(ReadError, match=r"short\.npy.*7.*12"):
        parse_objective(f"rmsd:{tmp_path / 'short.npy'}", tiny_model.pipeline)
    with pytest.raises(ReadError, match=r"nothing\.npy"):
        parse_objective(f"rmsd:{tmp_path / 'nothing.npy'}", tiny_model.pipeline)


BROKEN = {
    "own_shape": "def f(x):\n    return x.sum()\n",
    "own_array": "def f(x):\n    return [1.0] * len(x)\n",
    "own_number": "f = 3\n",
    "own_syntax": "def f(x)\n    return x\n",
    "own_raises_at_import": "raise RuntimeError('no')\n",
    "own_raises": "def f(x):\n    return x[:, 99].sum(dim=-1)\n",
    "own_detached": "def f(x):\n    return x.detach().sum(dim=(1, 2))\n",
    "own_constant": "import torch\ndef f(x):\n    return torch.ones(len(x))\n",
}


@pytest.mark.parametrize(("module", "source"), BROKEN.items(), ids=BROKEN.keys())
def test_a_user_s_broken_function_is_a_clear_error(tiny_model: Model, modules: Path, module: str, source: str) -> None:
    """A function that cannot be imported, called, or differentiated is an OptionError that names it."""
    (modules / f"{module}.py").write_text(source)
    with pytest.raises(OptionError, match=module) as caught:
        tiny_model.optimize(f"{module}:f", search=Search(starts=4, steps=3, draws=8))
    assert "\n" not in str(caught.value)


def test_goals() -> None:
    """The cost falls towards the minimum, the maximum, or the value, in units of the spread."""
    values = np.array([1.0, 2.0, 3.0])
    assert np.argmin(Goal("min").cost(values, 2.0)) == 0
    assert np.argmin(Goal("max").cost(values, 2.0)) == 2
    np.testing.assert_allclose(Goal("2.5").cost(values, 0.5), np.sqrt([10.0, 2.0, 2.0]))
    np.testing.assert_allclose(Goal("-1e1").cost(torch.tensor([-10.0]), 1.0), [1.0])


def test_a_goal_far_away_still_pulls() -> None:
    """The slope of the cost is one in units of the spread, however far the value is."""
    x = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(Goal("1e9").cost(x, 0.5).sum(), x)
    np.testing.assert_allclose(slope, [-2.0], rtol=1e-12)


@pytest.mark.parametrize("text", ["", "minimum", "nan", "inf", "-inf", "1,5", "MIN"])
def test_wrong_goals_are_refused(text: str) -> None:
    """OptionError with what came."""
    with pytest.raises(OptionError, match="goal must be"):
        Goal(text)
