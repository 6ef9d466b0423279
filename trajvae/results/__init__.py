"""Results: one class a kind of file, with its fields, `save` and `load`; no class computes anything.

from trajvae.results import Embedding, load
embedding = Embedding.load("embed.h5")
result = load("path.h5md")  # a file of any kind
"""

from trajvae.results.applied import Applied
from trajvae.results.base import ResultFile
from trajvae.results.comparison import Comparison, Entry
from trajvae.results.conformation_tasks import Descent
from trajvae.results.conformations import Conformations
from trajvae.results.embedding import Embedding
from trajvae.results.files import LatentPoints, Result, load, load_latent_points
from trajvae.results.history import TrainingHistory
from trajvae.results.marginals import Kind, Marginal, Marginals, Wide
from trajvae.results.trained_model import TrainedModel

__all__ = [
    "Applied",
    "Comparison",
    "Conformations",
    "Descent",
    "Embedding",
    "Entry",
    "Kind",
    "LatentPoints",
    "Marginal",
    "Marginals",
    "Result",
    "ResultFile",
    "TrainedModel",
    "TrainingHistory",
    "Wide",
    "load",
    "load_latent_points",
]
