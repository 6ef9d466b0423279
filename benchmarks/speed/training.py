"""Training throughput of every backend, beside peers with the same networks and matrix products alone; one thread."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from speed.clock import Timer, Times, in_turn
from speed.ours import ours
from speed.peers import BARE, deeptime, mlcolvar, pythae
from speed.product_peer import manify
from speed.products import layers, products
from speed.record import Record, at_least
from speed.setting import HIDDEN, Setting
from trajvae import TrainConfig
from trajvae.latents import make_latent

Bounds = tuple[float | None, float | None]  # of the ratios to the fastest peer as it trains and to the products

OURS, PRODUCTS = "ours", "its matrix products alone"
ALL = tuple((atoms, batch) for atoms in (10, 214) for batch in (32, 256))
EUCLIDEAN = {(10, 32): 1.4, (10, 256): 1.3, (214, 256): 1.15}  # times the fastest peer
BOUND = {(10, 256): 0.75, (214, 256): 0.75}  # of the matrix products


@dataclass(frozen=True)
class Backend:
    """A latent space of ours: its name, its options."""

    name: str
    options: dict[str, Any]

    def bound(self, setting: Setting) -> Timer:
        """Products of its two networks, an epoch of them."""
        config = TrainConfig(backend=self.name, **self.options)
        latent = make_latent(self.name, config.latent_dim, config.latent_settings())
        sizes = layers(setting.features, HIDDEN, sum(latent.param_sizes.values()), latent.ambient_dim)
        return products(sizes, setting.batch, setting.batches)


def _records(name: str, setting: Setting, times: Times, wanted: Bounds) -> Iterator[Record]:
    """Beside the fastest peer as it trains, the fastest of bare loops about their models, and the products."""
    peers = [n for n in times.rounds if n not in (OURS, PRODUCTS)]
    stripped = [n for n in peers if n.endswith(BARE)]
    whole = [n for n in peers if n not in stripped]
    what, rate = f"train {name}, {setting.says()}", setting.frames / times.median(OURS)
    rows = (whole, wanted[0]), (stripped, None), ([PRODUCTS], wanted[1])
    for beside, bound in ((times.fastest(names) if names else None, bound) for names, bound in rows):
        if beside is None:
            continue
        ratios = sorted(times.ratios(beside, OURS))
        peer = (beside, setting.frames / times.median(beside))
        record = at_least(what, "frames/s", rate, peer, ratios[len(ratios) // 2], bound)
        others = "; ".join(f"{n} {setting.frames / times.median(n):,.0f}" for n in whole if n != beside)
        note = f"{ratios[0]:.2f} to {ratios[-1]:.2f} x" + (f"; {others}" if others and beside in whole else "")
        yield replace(record, note=note)


def _row(backend: Backend, setting: Setting, peers: dict[str, Timer], wanted: Bounds = (None, None)) -> list[Record]:
    timers = {OURS: ours(setting, backend.name, **backend.options), **peers, PRODUCTS: backend.bound(setting)}
    return list(_records(backend.name, setting, in_turn(timers, setting.rounds), wanted))


def training_euclidean() -> Iterator[Record]:
    """Beside pythae, mlcolvar and deeptime."""
    for atoms, batch in ALL:
        setting = Setting(atoms, batch, batches=20 if batch == 256 else 60)
        peers = {**pythae("VAE", setting), **mlcolvar(setting), **deeptime(setting)}
        bounds = EUCLIDEAN.get((atoms, batch)), BOUND.get((atoms, batch))
        yield from _row(Backend("euclidean", {}), setting, peers, bounds)


def training_hyperspherical() -> Iterator[Record]:
    """Beside pythae's SVAE, on the sphere in space."""
    for atoms, batch in ALL:
        setting = Setting(atoms, batch)
        bound = 1.8 if (atoms, batch) == (10, 256) else None
        yield from _row(Backend("hyperspherical", {}), setting, pythae("SVAE", setting), (bound, None))


def training_product() -> Iterator[Record]:
    """Beside manify, on h2,s2,e2."""
    for atoms, batch in ALL:
        setting = Setting(atoms, batch, epochs=2)
        bound = 5.0 if (atoms, batch) == (10, 256) else None
        yield from _row(Backend("product", {"signature": "h2,s2,e2"}), setting, manify(setting), (bound, None))


def training_rhvae() -> Iterator[Record]:
    """Beside pythae's RHVAE: two dimensions, three steps, the flow on from the start."""
    backend = Backend("rhvae", {"settings": {"warmup": 0.0, "centroids": 100}})
    for atoms, batch in ALL:
        setting = Setting(atoms, batch, batches=10, epochs=2, rounds=3)
        bound = 2.5 if (atoms, batch) == (10, 256) else None
        yield from _row(backend, setting, pythae("RHVAE", setting), (bound, None))


def training_embedded() -> Iterator[Record]:
    """On the torus; no peer has it."""
    for atoms, batch in ALL:
        yield from _row(Backend("embedded", {}), Setting(atoms, batch, rounds=3), {})
