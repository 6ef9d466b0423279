"""The wheel: complete, without a package called `cli`, and at work in an environment that holds nothing of the tree."""

import email
import importlib.metadata
import os
import re
import shutil
import site
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest

import trajvae

ROOT = Path(__file__).parents[1]
SOURCES = {"trajvae": "trajvae", "cli": "trajvae_cli"}


def modules():
    """Every Python file of the tree, by its name in the wheel."""
    found = {}
    for folder, package in SOURCES.items():
        for path in (ROOT / folder).rglob("*.py"):
            found[f"{package}/{path.relative_to(ROOT / folder).as_posix()}"] = path
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, so that the tree stays clean; without isolation where setuptools is new enough."""
    folder = tmp_path_factory.mktemp("wheel")
    unwanted = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "build", "dist", "examples", "tests", "demo")
    shutil.copytree(ROOT, folder / "tree", ignore=unwanted)
    options = ["--no-deps", "--quiet", "--wheel-dir", folder]
    try:
        own = int(importlib.metadata.version("setuptools").split(".")[0]) >= 77
    except importlib.metadata.PackageNotFoundError:
        own = False
    options += ["--no-build-isolation"] if own else []
    pip = [sys.executable, "-m", "pip", "wheel", *options, folder / "tree"]
    done = subprocess.run(list(map(str, pip)), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """An environment with this wheel; the libraries are those of ours, our own editable finder is not."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True, timeout=120)
    python = folder / "venv" / "bin" / "python"
    install = ["install", "--no-deps", "--no-index", "--quiet", "--disable-pip-version-check", wheel]
    pip = [sys.executable, "-m", "pip", "--python", python, *install]
    done = subprocess.run(list(map(str, pip)), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    # a folder named in a .pth file is searched, the .pth files in it are not obeyed
    (packages / "libraries.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return python


def run(python, folder, *arguments):
    """Run the environment's Python, away from the tree and from our own paths."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON") and k != "VIRTUAL_ENV"}
    command = list(map(str, [python, *arguments]))
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_packages_are_all_listed():
    """pyproject names each folder that holds modules."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted({name.rpartition("/")[0].replace("/", ".") for name in modules()})


def test_contents(wheel):
    """Every module, byte for byte, both markers of types, and nothing at the top but the two packages."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        for name, path in modules().items():
            assert archive.read(name) == path.read_bytes()
    assert {"trajvae/py.typed", "trajvae_cli/py.typed"} <= names
    top = {name.split("/")[0] for name in names}
    assert top == {"trajvae", "trajvae_cli", f"trajvae-{trajvae.__version__}.dist-info"}
    assert {n for n in names if n.endswith(".py")} == set(modules())


def test_metadata(wheel):
    """Name, version, licence with its text, README, and the script."""
    with zipfile.ZipFile(wheel) as archive:
        info = f"trajvae-{trajvae.__version__}.dist-info"
        text = archive.read(f"{info}/METADATA").decode()
        assert archive.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
        assert re.search(r"trajvae = trajvae_cli:main", archive.read(f"{info}/entry_points.txt").decode())
    metadata = email.message_from_string(text)
    assert (metadata["Name"], metadata["Version"]) == ("trajvae", trajvae.__version__)
    assert metadata["License-Expression"] == "MIT" and metadata["Requires-Python"] == ">=3.11"
    assert "trajvae" in str(metadata.get_payload())


def test_commands(python, tmp_path):
    """Script and module both answer, from the installed files."""
    assert "embed" in run(python.with_name("trajvae"), tmp_path, "--help")
    assert trajvae.__version__ in run(python, tmp_path, "-m", "trajvae_cli", "--version")


def test_every_module_imports(python, tmp_path):
    """From the environment alone: nothing of the checkout stands behind."""
    names = [name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in modules()]
    names.remove("trajvae_cli.__main__")
    code = (
        "import importlib, sys\n"
        f"for name in {names!r}:\n"
        "    module = importlib.import_module(name)\n"
        "    assert module.__file__.startswith(sys.prefix), module.__file__\n"
        f"assert not any(str(p).startswith({str(ROOT / 'trajvae')!r}) for p in sys.path)\n"
        "assert importlib.util.find_spec('cli') is None\n"
        "print(len(sys.modules))\n"
    )
    assert int(run(python, tmp_path, "-c", code)) > len(names)


def test_train_and_generate(python, tmp_path, chain):
    """The whole way, installed."""
    np.save(tmp_path / "traj.npy", chain[:100])
    run(python, tmp_path, "-m", "trajvae_cli", "train", "traj.npy", "--epochs", "2", "--hidden", "8")
    run(python, tmp_path, "-m", "trajvae_cli", "generate", "-n", "5")
    assert {p.name for p in tmp_path.iterdir()} == {"traj.npy", "model.h5", "generate.h5md", "generate.pdb"}
