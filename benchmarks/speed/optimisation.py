"""`Model.optimize`, beside the decoder's matrix products that its search and its candidates need; one thread."""

from __future__ import annotations

from collections.abc import Iterator

from speed.clock import in_turn, seconds
from speed.generation import ALANINE
from speed.products import layers, products
from speed.record import Record, at_most
from trajvae import Model, TrainConfig
from trajvae.outputs.optimize import Search


def optimisation() -> Iterator[Record]:
    """The radius of gyration of alanine dipeptide, all atoms, Cartesian features."""
    model = Model.train(ALANINE[0], TrainConfig(features="cartesian", epochs=20), reading=ALANINE[1])
    vae, widths, search = model.pipeline.vae, model.config.widths, Search()
    sizes = layers(vae.features.input_size, widths, 1, vae.latent.ambient_dim)[len(widths) + 1 :]
    descent = products(sizes, search.starts, search.steps)
    candidates = products(sizes, search.starts * search.draws, 1, backward=False)
    timers = {"ours": seconds(lambda: model.optimize("rg")), "products": lambda: descent() + candidates()}
    times = in_turn(timers, 3)
    peer = ("decoder's matrix products alone", times.median("products"))
    yield at_most("Model.optimize('rg'), 22 atoms", "s", times.median("ours"), peer, None)
