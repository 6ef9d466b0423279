"""Variational autoencoders for molecular-simulation trajectories.

Names are imported when they are first used, so that `import trajvae` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from trajvae._moved import install
from trajvae._version import __version__

if TYPE_CHECKING:
    from trajvae.analysis import Embed, TrajVAE
    from trajvae.comparison import compare
    from trajvae.config import TrainConfig
    from trajvae.errors import TrajvaeError
    from trajvae.free_energies.estimate import free_energy
    from trajvae.kinetic_analysis.estimate import kinetics
    from trajvae.model import Model
    from trajvae.readers.reading import Reading
    from trajvae.results.conformations import Conformations

_HOMES = {
    "TrajVAE": "trajvae.analysis",
    "Embed": "trajvae.analysis",
    "Model": "trajvae.model",
    "compare": "trajvae.comparison",
    "free_energy": "trajvae.free_energies.estimate",
    "kinetics": "trajvae.kinetic_analysis.estimate",
    "TrainConfig": "trajvae.config",
    "TrajvaeError": "trajvae.errors",
    "Conformations": "trajvae.results.conformations",
    "Reading": "trajvae.readers.reading",
}

__all__ = [
    "Conformations",
    "Embed",
    "Model",
    "Reading",
    "TrainConfig",
    "TrajVAE",
    "TrajvaeError",
    "__version__",
    "compare",
    "free_energy",
    "kinetics",
]

install()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'trajvae' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)
