"""The house: which packages are installed, which way imports run, who may touch what."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ORDER = (
    "errors",
    "typing",
    "weighted_samples",
    "arguments",
    "runtime",
    "_version",
    "_moved",
    "torch_types",
    "display",
    "dataframes",
    "verdict",
    "figures",
    "topology",
    "choices",
    "signature",
    "lagged_pairs",
    "config",
    "networks",
    "alignment",
    "store",
    "molecule",
    "local_geometry",
    "periodic",
    "readers",
    "cluster",
    "frame_weights",
    "results",
    "features",
    "geometry",
    "latents",
    "likelihoods",
    "models",
    "training",
    "outputs",
    "free_energies",
    "kinetic_analysis",
    "testing",
    "model_base",
    "export",
    "sensitivity",
    "model_outputs",
    "model_estimates",
    "model",
    "comparison",
    "analysis_base",
    "analysis",
    "plots",
    "cli",
)
LIBRARY = sorted((ROOT / "trajvae").rglob("*.py"))
# names every room, and opens none until it is asked
FRONT_DOOR = ROOT / "trajvae" / "__init__.py"
COMMAND_LINE = sorted((ROOT / "cli").rglob("*.py"))


def room(path: Path) -> str:
    """The name in `ORDER` that a file belongs to."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return "cli" if parts[0] == "cli" else parts[1]


def origin(path: Path, node: ast.ImportFrom) -> str:
    """The full name of the module that a `from` import names, relative ones included."""
    if not node.level:
        return str(node.module)
    folder, *rest = path.relative_to(ROOT).parts
    package = ["trajvae_cli" if folder == "cli" else folder, *rest][: -node.level]
    return ".".join([*package, *([node.module] if node.module else [])])


def imported(path: Path) -> list[str]:
    """All modules that a file imports, wherever in it, as `package.module` (names of `from` imports included)."""
    out = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            out += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            out += [f"{origin(path, node)}.{alias.name}" for alias in node.names]
    return out


def rooms_of(modules: list[str]) -> set[str]:
    """The rooms of `ORDER` among imported modules; `from trajvae import Model` is the room `model`."""
    home = {
        "Model": "model",
        "TrajVAE": "analysis",
        "Embed": "analysis",
        "compare": "comparison",
        "free_energy": "free_energies",
        "kinetics": "kinetic_analysis",
        "TrainConfig": "config",
    }
    home |= {"TrajvaeError": "errors", "Conformations": "results", "Reading": "readers", "__version__": "_version"}
    out = set()
    for module in modules:
        first, *rest = module.split(".")
        if first == "trajvae_cli":
            out.add("cli")
        elif first == "trajvae" and rest:
            out.add(home.get(rest[0], rest[0]))
    return out


def name_of(path: Path) -> str:
    """A test's id."""
    return str(path.relative_to(ROOT))


def test_every_package_is_listed_in_pyproject():
    """setuptools installs what the list names and nothing else."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = set()
    for folder, name in (("trajvae", "trajvae"), ("cli", "trajvae_cli")):
        for init in (ROOT / folder).rglob("__init__.py"):
            found.add(".".join((name, *init.parent.relative_to(ROOT / folder).parts)))
    assert found == set(settings["packages"])


def test_every_module_stands_in_a_package():
    """A folder without __init__.py would be left out of the wheel without a word."""
    folders = {path.parent for path in LIBRARY + COMMAND_LINE}
    assert all((folder / "__init__.py").is_file() for folder in folders)


@pytest.mark.parametrize("path", [p for p in LIBRARY + COMMAND_LINE if p != FRONT_DOOR], ids=name_of)
def test_imports_run_one_way(path):
    """A room imports from itself and from those before it in `ORDER`."""
    own = room(path)
    assert own in ORDER, f"'{own}' has no place in the order"
    after = {r for r in rooms_of(imported(path)) if ORDER.index(r) > ORDER.index(own)}
    assert not after, f"{own} imports {sorted(after)}, which come after it"


def test_the_walk_sees_imports():
    """The walk finds what is there: an order of nothing would hold always."""
    assert {"store", "readers", "models"} <= rooms_of(imported(ROOT / "trajvae" / "model_base.py"))
    assert "cli" in rooms_of(imported(ROOT / "cli" / "commands" / "embed.py"))


def test_the_front_door_opens_nothing():
    """`import trajvae` reads its version and no other room: `import trajvae` costs nothing."""
    heavy = ("torch", "MDAnalysis", "mdtraj", "h5py", "numpy")
    code = f"import sys, trajvae; print(*[m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("path", LIBRARY + COMMAND_LINE, ids=name_of)
def test_libraries_stay_in_their_rooms(path):
    """h5py in store alone, click in cli alone, torch and MDAnalysis and mdtraj never in store, pickle nowhere."""
    tops = {module.split(".")[0] for module in imported(path)}
    own = room(path)
    assert "h5py" not in tops or own == "store"
    assert "click" not in tops or own == "cli"
    assert own != "store" or not tops & {"torch", "MDAnalysis", "mdtraj"}
    assert not tops & {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal"}


@pytest.mark.parametrize("path", LIBRARY, ids=name_of)
def test_the_library_is_silent(path):
    """No `print` outside cli, and none of the ways to execute what a file says."""
    calls = [n.func for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
    names = {f.id for f in calls if isinstance(f, ast.Name)}
    assert not names & {"print", "eval", "exec", "compile", "__import__"}
    loads = [ast.unparse(f) for f in calls if isinstance(f, ast.Attribute) and f.attr == "load"]
    assert not {"torch.load", "pickle.load"} & set(loads)


@pytest.mark.parametrize("path", LIBRARY + COMMAND_LINE, ids=name_of)
def test_numpy_never_unpickles(path):
    """Every `np.load` says allow_pickle=False."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("np.load", "numpy.load"):
            assert {k.arg: ast.unparse(k.value) for k in node.keywords}.get("allow_pickle") == "False"
