"""Which models the tests of this folder train: every backend by both kinds of features."""

from __future__ import annotations

from typing import Any

BACKENDS: dict[str, dict[str, Any]] = {
    "euclidean": {"latent_dim": 2},
    "hyperspherical": {"latent_dim": 2},
    "product": {"signature": "h2,s2,e1,s1:0.5"},
    "rhvae": {"latent_dim": 2, "settings": {"centroids": 10}},
    "embedded": {"latent_dim": 3, "settings": {"manifold": "so3"}},
}
CASES = [(backend, features) for backend in BACKENDS for features in ("cartesian", "internal")]
