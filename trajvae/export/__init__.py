"""The latent mean as a function that drives a simulation: in numpy, and as files that PLUMED and Colvars load."""

from trajvae.export.folder import Export, export
from trajvae.export.latent_cv import LatentCV
from trajvae.export.program import LatentModule, exported_program, torch_module, torchscript

__all__ = ["Export", "LatentCV", "LatentModule", "export", "exported_program", "torch_module", "torchscript"]
