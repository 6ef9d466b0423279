"""Figures: the numbers that commands report, one class for each command.

An attribute is a figure; `to_json` gives all of them as `--json` prints and files store them.
"""

from trajvae.figures.base import Figures, JudgedFigures
from trajvae.figures.committor import CommittorFigures
from trajvae.figures.comparison import CandidateFigures, ComparisonFigures
from trajvae.figures.conformations import conformation_figures
from trajvae.figures.embedding import EmbeddingFigures
from trajvae.figures.export import CoordinateFigures, ExportFigures
from trajvae.figures.free_energy import BasinFigures, FreeEnergyFigures, RepresentativeFigures
from trajvae.figures.generation import GenerationFigures, SamplerFigures
from trajvae.figures.kinetics import KineticsFigures, TimeScaleFigures
from trajvae.figures.marginals import DivergenceFigures, MarginalFigures, NoveltyFigures
from trajvae.figures.optimization import OptimizationFigures, RejectionFigures
from trajvae.figures.path import PathFigures
from trajvae.figures.sensitivity import MovedFigures, MoverFigures, SensitivityFigures

__all__ = [
    "BasinFigures",
    "CandidateFigures",
    "CommittorFigures",
    "ComparisonFigures",
    "CoordinateFigures",
    "DivergenceFigures",
    "EmbeddingFigures",
    "ExportFigures",
    "Figures",
    "FreeEnergyFigures",
    "GenerationFigures",
    "JudgedFigures",
    "KineticsFigures",
    "MarginalFigures",
    "MovedFigures",
    "MoverFigures",
    "NoveltyFigures",
    "OptimizationFigures",
    "PathFigures",
    "RejectionFigures",
    "RepresentativeFigures",
    "SamplerFigures",
    "SensitivityFigures",
    "TimeScaleFigures",
    "conformation_figures",
]
