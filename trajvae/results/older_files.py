"""What files of earlier versions do not say, found from what they do say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trajvae.store import Quantity

_BY_COORDINATES = {"Cartesian": "e{0}", "unit vectors": "s{1}:1.0"}  # number of coordinates, and one less


def geometry_of(latent: Quantity) -> str:
    """Return the signature of the space of latent points: that of the file, or the one that their coordinates imply.

    Parameters
    ----------
    latent : Quantity
        Latent points, shape (T, ambient), with the attributes `geometry` and `coordinates` where the file has them.

    Returns
    -------
    str
        Empty where nothing implies one.
    """
    if "geometry" in latent.attributes:
        return str(latent.attributes["geometry"])
    size = latent.value.shape[1]
    return _BY_COORDINATES.get(str(latent.attributes.get("coordinates", "")), "").format(size, size - 1)


def geometry_of_model(figures: Mapping[str, Any]) -> str:
    """Return the signature of a model's latent space: that of its figures, or the one that backend and parts imply.

    Parameters
    ----------
    figures : mapping
        Figures of the training.

    Returns
    -------
    str
        Empty where nothing implies one.
    """
    backend, dim, curvatures = str(figures["backend"]), figures["latent_dim"], figures.get("curvatures", {})
    factors = [(part.split("#")[0], curvatures.get(part)) for part in figures.get("kl", {})]
    implied = {
        "euclidean": f"e{dim}",
        "rhvae": f"e{dim}",
        "hyperspherical": f"s{dim}:1.0",
        "product": ",".join(name if k is None else f"{name}:{abs(k)}" for name, k in factors),
    }
    return str(figures.get("geometry", implied.get(backend, "")))
