"""What is imported, and when: a library that nobody needs yet costs nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from trajvae import Model

READERS = {"MDAnalysis", "mdtraj", "Bio"}
SLOW = {f"scipy.{part}" for part in ("cluster", "interpolate", "linalg", "optimize", "sparse", "spatial", "stats")}


def loaded(code: str, *arguments: str) -> set[str]:
    """The modules that a fresh interpreter holds after some code."""
    code += "\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_package_itself_imports_nothing() -> None:
    """`import trajvae` costs what an empty file costs."""
    assert not loaded("import trajvae") & {"numpy", "torch", "h5py", "scipy", *READERS}


def test_the_model_imports_no_reader() -> None:
    """Beside torch, numpy and h5py: neither trajectory libraries nor any part of SciPy."""
    assert not loaded("import trajvae.model") & (READERS | SLOW)


def test_conformations_are_drawn_without_a_reader(tiny_model: Model, tmp_path: Path) -> None:
    """Loading a model, generating and decoding open no trajectory, so nothing that opens one is imported."""
    tiny_model.save(tmp_path / "model.h5")
    code = "import sys, trajvae\nmodel = trajvae.Model.load(sys.argv[1])\nmodel.decode(model.generate(3).latent)"
    assert not loaded(code, str(tmp_path / "model.h5")) & READERS
