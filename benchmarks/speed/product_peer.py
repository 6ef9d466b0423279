"""manify's product-space VAE: the loop that its documentation shows, over the manifolds of its wheel.

The wheel of manify 0.2.1 holds its manifolds and not its embedders, so `import manify` fails and the file with the
manifolds is loaded by itself.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from speed.clock import Timer
from speed.peers import bare
from speed.setting import HIDDEN, Setting, network

SIGNATURE = [(-1.0, 2), (1.0, 2), (0.0, 2)]
DRAWS = 16  # for the KL, manify's default


def _manifolds() -> Any:
    """The module `manify.manifolds`."""
    (folder,) = importlib.util.find_spec("manify").submodule_search_locations  # type: ignore[union-attr]
    spec = importlib.util.spec_from_file_location("manify_manifolds", Path(folder) / "manifolds.py")
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    return module


class _ProductVAE(nn.Module):
    """Wrapped normal distributions on a product of manifolds, the KL by draws."""

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self.space = _manifolds().ProductManifold(signature=SIGNATURE)
        self.encoder = network((setting.features, *HIDDEN, 2 * self.space.dim))
        self.decoder = network((self.space.ambient_dim, *HIDDEN, setting.features))

    def loss(self, x: Tensor) -> Tensor:
        """Squared error and KL, both summed over a frame."""
        tangent, log_variance = self.encoder(x).chunk(2, dim=-1)
        mean = self.space.expmap(u=tangent @ self.space.projection_matrix, base=None)
        spread = [torch.diag_embed(v.exp() + 1e-8) for v in self.space.factorize(log_variance, intrinsic=True)]
        decoded = self.decoder(self.space.sample(z_mean=mean, sigma_factorized=spread))
        means = mean.repeat_interleave(DRAWS, dim=0)
        spreads = [s.repeat_interleave(DRAWS, dim=0) for s in spread]
        z = self.space.sample(z_mean=means, sigma_factorized=spreads)
        ratio = self.space.log_likelihood(z, means, spreads) - self.space.log_likelihood(z)
        return ((decoded - x).square().sum(dim=1) + ratio.view(-1, DRAWS).mean(dim=1)).mean()


def manify(setting: Setting) -> dict[str, Timer]:
    """Without clipping, looks at the loss or a progress bar, which its loop has too."""
    model = _ProductVAE(setting)
    return {f"manify, {DRAWS} draws, its documented loop": bare(model, model.loss, setting)}
