"""The programs for engines: the same numbers, called as engines call them, by a Python that has no trajvae."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from export_models import CASES

import trajvae
from trajvae import Model
from trajvae.errors import OptionError
from trajvae.export import LatentCV, exported_program, torch_module, torchscript
from trajvae.typing import Float64

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.load. is deprecated:DeprecationWarning")

IN_SINGLE = [("euclidean", "cartesian"), ("embedded", "internal")]  # a flat space and a curved one; both features
Trained = Callable[..., Model]
Call = Callable[[torch.Tensor], torch.Tensor]

# what PLUMED does with a file (zeros in the constructor, then float32, frozen and optimised), and what Colvars does
ENGINES = """
import json, sys
sys.modules["trajvae"] = None
import torch

def derivatives(module, x):
    x = x.clone().requires_grad_()
    out = module(x)
    rows = [torch.autograd.grad([out[:, j:j + 1]], [x], [torch.ones(1, 1, dtype=x.dtype)], retain_graph=True)[0]
            for j in range(out.shape[1])]
    return [out.shape, str(out.dtype), out.is_contiguous(), out[0].tolist(), torch.cat(rows).tolist()]

path, frame = sys.argv[1], json.loads(sys.argv[2])
plumed = torch.jit.load(path, map_location="cpu")
plumed = torch.jit.optimize_for_inference(plumed)
single = torch.tensor(frame, dtype=torch.float32).view(1, -1)
colvars = torch.jit.load(path)
colvars.to(torch.float64)
double = torch.tensor(frame, dtype=torch.float64).view(1, -1)
calls = [(plumed, torch.zeros_like(single)), (plumed, single), (plumed, single), (colvars, torch.zeros_like(double)),
         (colvars, double)]
print(json.dumps([derivatives(*call) for call in calls]))
"""


def numbers(call: Call, x: Float64, dtype: torch.dtype, unit: float) -> tuple[Float64, Float64]:
    """A program's output for a frame in Å, and its derivatives per Å, (M,) and (M, N, 3)."""
    coordinates = torch.tensor(x.reshape(1, -1) / unit, dtype=dtype).requires_grad_()
    out = call(coordinates)
    assert out.shape[0] == 1 and out.dtype == dtype and out.is_contiguous()
    rows = [torch.autograd.grad(out[0, j], coordinates, retain_graph=True)[0] for j in range(out.shape[1])]
    return out[0].detach().numpy(), torch.cat(rows).numpy().reshape(-1, *x.shape) / unit


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_torchscript_gives_the_same(case: tuple[str, str], dtype: str, trained: Trained, moved: Float64) -> None:
    """100 frames as `encode` has them, 1e-5 and 1e-9; gradients, of frames and of zeros, as LatentCV has them."""
    model = trained(*case)
    cv, own = LatentCV(model), getattr(torch, dtype)
    reference = model.pipeline.alignment.reference
    program = torch.jit.load(io.BytesIO(torchscript(torch_module(model, dtype=dtype), reference)))
    frames = moved.astype(dtype)
    with torch.no_grad():
        z = program(torch.from_numpy(frames.reshape(len(frames), -1))).numpy()
    wanted = model.pipeline.encode(frames)[0].latent
    scale = max(1.0, float(np.abs(wanted).max())) if dtype == "float32" else 1.0
    assert np.abs(z - wanted).max() < {"float32": 1e-5, "float64": 1e-9}[dtype] * scale
    for x in (moved[5], reference, 0.0 * reference):
        z, gradient = numbers(program, x, own, 1.0)
        value, its = cv.value_and_gradient(x.astype(dtype))
        size = np.abs(its).max() + np.abs(value).max()
        assert np.abs(z - value).max() < {"float32": 1e-4, "float64": 1e-9}[dtype]
        assert np.abs(gradient - its).max() < {"float32": 1e-4, "float64": 1e-10}[dtype] * size


def graph(model: Model, dtype: str) -> Call:
    """The graph of torch.export of a model, in nm, as it is read from its file."""
    module = torch_module(model, unit="nm", dtype=dtype)
    made = exported_program(module, model.pipeline.alignment.reference, dtype)
    return torch.export.load(io.BytesIO(made)).module()


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_the_exported_graph_gives_the_same(case: tuple[str, str], trained: Trained, moved: Float64) -> None:
    """100 frames in nm and float64: 1e-9, gradients too, finite for zeros."""
    model = trained(*case)
    cv, program = LatentCV(model), graph(model, "float64")
    wanted = model.pipeline.encode(moved)[0].latent
    for x, z in zip(moved, wanted, strict=True):
        assert np.abs(program(torch.tensor(x.reshape(1, -1) / 10.0)).numpy()[0] - z).max() < 1e-9
    for x in (moved[5], np.zeros((10, 3))):
        found, exact = numbers(program, x, torch.float64, 10.0), cv.value_and_gradient(x)
        np.testing.assert_allclose(found[1], exact[1], atol=1e-10 * np.abs(exact[1]).max() + 1e-12)


@pytest.mark.parametrize("case", IN_SINGLE, ids="-".join)
def test_the_exported_graph_in_single_precision(case: tuple[str, str], trained: Trained, moved: Float64) -> None:
    """100 frames in nm and float32 as `encode` has them: 1e-5 of the largest number; gradients of LatentCV."""
    model = trained(*case)
    program = graph(model, "float32")
    frames = (moved / 10.0).astype(np.float32)
    wanted = model.pipeline.encode(10.0 * frames.astype(np.float64))[0].latent
    scale = max(1.0, float(np.abs(wanted).max()))
    for x, z in zip(frames, wanted, strict=True):
        assert np.abs(program(torch.from_numpy(x.reshape(1, -1))).numpy()[0] - z).max() < 1e-5 * scale
    found, exact = numbers(program, moved[5], torch.float32, 10.0), LatentCV(model).value_and_gradient(moved[5])
    assert np.abs(found[1] - exact[1]).max() < 1e-4 * (np.abs(exact[1]).max() + np.abs(exact[0]).max())


def test_programs_keep_no_paths(trained: Trained) -> None:
    """Neither of this machine's folders nor of any source file, in any record of the archives."""
    model = trained()
    module, reference = torch_module(model), model.pipeline.alignment.reference
    folder = str(Path(trajvae.__file__).parents[1]).encode()
    for program in (torchscript(module, reference), exported_program(module, reference, "float32")):
        with zipfile.ZipFile(io.BytesIO(program)) as archive:
            for name in archive.namelist():
                record = archive.read(name)
                assert folder not in record and b".py" not in record, name


def test_engines_load_it_without_trajvae(trained: Trained, moved: Float64, tmp_path: Path) -> None:
    """By a Python that cannot import trajvae: shapes, types and numbers, also of calls that torch has optimised."""
    model = trained("product", "cartesian")
    path = tmp_path / "cv.pt"
    path.write_bytes(torchscript(torch_module(model, unit="nm"), model.pipeline.alignment.reference))
    frame = json.dumps((moved[7].ravel() / 10.0).tolist())
    isolated = [sys.executable, "-I", "-W", "ignore", "-c", ENGINES, str(path), frame]
    done = subprocess.run(isolated, capture_output=True, text=True, timeout=120, check=True, cwd=tmp_path)
    found = json.loads(done.stdout)
    cv = LatentCV(model)
    value, gradient = cv.value_and_gradient(moved[7])
    for (shape, dtype, contiguous, z, rows), wanted in zip(found, ["float32"] * 3 + ["float64"] * 2, strict=True):
        assert shape == [1, cv.n_outputs] and dtype == f"torch.{wanted}" and contiguous
        assert np.isfinite(z).all() and np.isfinite(rows).all()
    for k in (1, 2, 4):
        np.testing.assert_allclose(found[k][3], value, atol=1e-5)
        np.testing.assert_allclose(np.reshape(found[k][4], gradient.shape) / 10.0, gradient, atol=1e-4)


def test_units_and_precisions_are_looked_up(trained: Trained) -> None:
    """A mistyped one is answered with those that exist."""
    with pytest.raises(OptionError, match="no unit 'pm'; there are nm, angstrom"):
        torch_module(trained(), unit="pm")
    with pytest.raises(OptionError, match="float32, float64"):
        torch_module(trained(), dtype="half")
