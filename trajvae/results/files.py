"""Result files of any kind."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from trajvae.errors import ReadError
from trajvae.figures import Figures
from trajvae.results.comparison import Comparison
from trajvae.results.conformations import Conformations
from trajvae.results.embedding import Embedding
from trajvae.results.free_energy import FreeEnergy
from trajvae.results.kinetics import Kinetics
from trajvae.results.marginals import Marginals
from trajvae.results.sensitivity import Sensitivity
from trajvae.results.trained_model import TrainedModel
from trajvae.store import read_contents

FrameLatents: TypeAlias = Embedding | TrainedModel  # latent points of simulated frames
LatentPoints: TypeAlias = FrameLatents | Conformations[Figures] | Kinetics
Result: TypeAlias = FrameLatents | Marginals | Conformations[Figures] | Comparison | FreeEnergy | Sensitivity | Kinetics
KINDS: dict[
    str, type[Embedding | Marginals | Conformations[Figures] | Comparison | FreeEnergy | Sensitivity | Kinetics]
] = {kind.KIND: kind for kind in (Embedding, Marginals, Conformations, Comparison, FreeEnergy, Sensitivity, Kinetics)}
_HEAVY = ("trajvae/weights", "trajvae/training/sample", "particles")  # what no figure is drawn of


def load(path: str | Path) -> Result:
    """Read a result file of any kind; of conformations all but the positions, which `Conformations.load` reads.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    Embedding, TrainedModel, Marginals, Conformations, Comparison, FreeEnergy, Sensitivity or Kinetics

    Raises
    ------
    ReadError
        The file is missing, damaged, none of trajvae's, or lacks what its kind must hold.
    """
    path = Path(path)
    skipped = {*_HEAVY, *(name for kind in KINDS.values() for name in kind.SKIPPED)}
    contents = read_contents(path, skip=sorted(skipped), tables=Marginals.TABLES)
    if contents.kind == "model":
        return TrainedModel.load(path)
    if contents.kind not in KINDS:
        raise ReadError(f"'{path}' holds {contents.kind}, of which there is no figure")
    return KINDS[contents.kind].from_contents(contents, path)


def load_latent_points(path: str | Path) -> FrameLatents:
    """Read the latent points of an embedding, or of a model's training frames.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    ReadError
        As `load`; or a file of something else.
    """
    found = load(path)
    if not isinstance(found, Embedding | TrainedModel):
        raise ReadError(f"'{path}' holds no latent points of frames; wanted: an embed.h5 or a model.h5")
    return found
