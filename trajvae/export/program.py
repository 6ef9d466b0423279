"""The latent mean as programs that run without trajvae: TorchScript, and a graph of torch.export."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trajvae.arguments.lookup import check_choice
from trajvae.choices import PRECISIONS, UNITS
from trajvae.export.latent_cv import stages_of
from trajvae.export.stage import Stage
from trajvae.model_base import ModelBase
from trajvae.typing import Float64

_ANGSTROM = {"nm": 10.0, "angstrom": 1.0}  # Å in one
_SOURCES = ".debug_pkl"  # how the names of records of a TorchScript file end that say where its code came from
_TYPES = {"float32": torch.float32, "float64": torch.float64}


class LatentModule(nn.Module):
    """Compute latent points from the coordinates of atoms in a row, x1 y1 z1 x2 and so on.

    Parameters
    ----------
    stages : sequence of Stage
    n_atoms : int
    scale : float
        Å in the unit of the coordinates.
    dtype : torch.dtype
        Precision of the network's layers. Superposition and features are computed in float64 always, and the points
        come in the precision of the coordinates.
    """

    def __init__(self, stages: Sequence[Stage], n_atoms: int, scale: float, dtype: torch.dtype) -> None:
        super().__init__()
        self.n_atoms, self.scale = n_atoms, scale
        self.steps = nn.Sequential(*(stage.module(dtype) for stage in stages))

    def forward(self, coordinates: Tensor) -> Tensor:
        """Return points (B, M) of coordinates (B, 3N)."""
        frames = coordinates.to(torch.float64).view(-1, self.n_atoms, 3) * self.scale
        points: Tensor = self.steps(frames)
        return points.type_as(coordinates).contiguous()


def torch_module(model: ModelBase, *, unit: str = "angstrom", dtype: str = "float32") -> LatentModule:
    """Return the latent mean as a module of torch.

    Parameters
    ----------
    model : Model
    unit : {"angstrom", "nm"}
        Of the coordinates that it takes.
    dtype : {"float32", "float64"}
        Precision of the network's layers.

    Returns
    -------
    LatentModule
        Takes (B, 3N) and returns (B, M), both in float32 or float64.

    Raises
    ------
    ModelError
        The model's latent points cannot drive a simulation; see `LatentCV`.
    OptionError
        There is no such unit or precision.
    """
    check_choice(unit, UNITS, "unit")
    check_choice(dtype, PRECISIONS, "dtype")
    with torch.inference_mode(False):
        made = LatentModule(stages_of(model.pipeline), model.pipeline.n_atoms, _ANGSTROM[unit], _TYPES[dtype])
        return made.eval().requires_grad_(False)


def torchscript(module: LatentModule, example: Float64) -> bytes:
    """Return a frozen TorchScript file of a module.

    Parameters
    ----------
    module : LatentModule
    example : ndarray, shape (N, 3)
        A frame in Å.

    Returns
    -------
    bytes
    """
    file = io.BytesIO()
    with torch.inference_mode(False), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that TorchScript is deprecated, which engines load all the same
        coordinates = _input(module, example, torch.float32).requires_grad_()
        traced = torch.jit.trace(module, coordinates, check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.save(torch.jit.freeze(traced.eval()), file)
    return _without_sources(file.getvalue())


def exported_program(module: LatentModule, example: Float64, dtype: str) -> bytes:
    """Return a file of torch.export of a module, for coordinates (1, 3N) of one precision.

    Parameters
    ----------
    module : LatentModule
    example : ndarray, shape (N, 3)
        A frame in Å.
    dtype : {"float32", "float64"}

    Returns
    -------
    bytes
    """
    file = io.BytesIO()
    with torch.inference_mode(False), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(module, (_input(module, example, _TYPES[dtype]),), strict=False)
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)  # paths of the machine on which it was exported
        torch.export.save(program, file)
    return file.getvalue()


def _without_sources(program: bytes) -> bytes:
    """Return a TorchScript file without its debug information: paths of the machine on which it was made."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(program)) as given, zipfile.ZipFile(out, "w") as kept:
        for record in given.infolist():
            if not record.filename.endswith(_SOURCES):
                kept.writestr(zipfile.ZipInfo(record.filename), given.read(record), record.compress_type)
    return out.getvalue()


def _input(module: LatentModule, example: Float64, dtype: torch.dtype) -> Tensor:
    return torch.tensor(example.reshape(1, -1) / module.scale, dtype=dtype)
