"""Results: one class a kind of file, with its fields, `save` and `load`; no class computes anything.

from trajvae.results import Embedding, load
embedding = Embedding.load("embed.h5")
result = load("path.h5md")  # a file of any kind
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trajvae.results.applied import Applied
    from trajvae.results.base import ResultFile
    from trajvae.results.committor import Calibration, Committor
    from trajvae.results.comparison import Comparison, Entry
    from trajvae.results.conformation_tasks import Descent
    from trajvae.results.conformations import Conformations
    from trajvae.results.embedding import Embedding
    from trajvae.results.files import LatentPoints, Result, load, load_latent_points
    from trajvae.results.free_energy import FreeEnergy
    from trajvae.results.free_energy_parts import Basins, FreeEnergyMap
    from trajvae.results.history import TrainingHistory
    from trajvae.results.kinetics import Kinetics
    from trajvae.results.kinetics_parts import ChapmanKolmogorov, MarkovModel, TimeScales, VampScore
    from trajvae.results.marginals import Kind, Marginal, Marginals, Wide
    from trajvae.results.sensitivity import Sensitivity
    from trajvae.results.trained_model import TrainedModel

# the module of each name, which is imported when the name is first used
_HOMES = {
    "Applied": "trajvae.results.applied",
    "Basins": "trajvae.results.free_energy_parts",
    "Calibration": "trajvae.results.committor",
    "ChapmanKolmogorov": "trajvae.results.kinetics_parts",
    "Committor": "trajvae.results.committor",
    "Comparison": "trajvae.results.comparison",
    "Conformations": "trajvae.results.conformations",
    "Descent": "trajvae.results.conformation_tasks",
    "Embedding": "trajvae.results.embedding",
    "Entry": "trajvae.results.comparison",
    "FreeEnergy": "trajvae.results.free_energy",
    "FreeEnergyMap": "trajvae.results.free_energy_parts",
    "Kind": "trajvae.results.marginals",
    "Kinetics": "trajvae.results.kinetics",
    "LatentPoints": "trajvae.results.files",
    "Marginal": "trajvae.results.marginals",
    "Marginals": "trajvae.results.marginals",
    "MarkovModel": "trajvae.results.kinetics_parts",
    "Result": "trajvae.results.files",
    "ResultFile": "trajvae.results.base",
    "Sensitivity": "trajvae.results.sensitivity",
    "TimeScales": "trajvae.results.kinetics_parts",
    "TrainedModel": "trajvae.results.trained_model",
    "TrainingHistory": "trajvae.results.history",
    "VampScore": "trajvae.results.kinetics_parts",
    "Wide": "trajvae.results.marginals",
    "load": "trajvae.results.files",
    "load_latent_points": "trajvae.results.files",
}

__all__ = [
    "Applied",
    "Basins",
    "Calibration",
    "ChapmanKolmogorov",
    "Committor",
    "Comparison",
    "Conformations",
    "Descent",
    "Embedding",
    "Entry",
    "FreeEnergy",
    "FreeEnergyMap",
    "Kind",
    "Kinetics",
    "LatentPoints",
    "Marginal",
    "Marginals",
    "MarkovModel",
    "Result",
    "ResultFile",
    "Sensitivity",
    "TimeScales",
    "TrainedModel",
    "TrainingHistory",
    "VampScore",
    "Wide",
    "load",
    "load_latent_points",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)
