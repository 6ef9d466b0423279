"""Training speed of the curved backends beside two peers, on one thread, in one run: `python benchmarks/speed.py`.

Batch 256, 30 features, hidden 256,256,256. Needs the peers beside trajvae, best in an environment of their own:

    pip install -c constraints.txt -e . && pip install pythae==0.1.2 manify==0.1 basemap jaxtyping geoopt cvxpy anndata

Our figure is whole training steps as `Trainer` takes them; the peers' is forward, backward and a step of Adam.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trajvae import TrainConfig
from trajvae.models.data import Split
from trajvae.models.pipeline import Sizes, build_vae
from trajvae.models.schedule import Schedule
from trajvae.models.train import Trainer
from trajvae.readers.align import Alignment

BATCH, ATOMS, BATCHES, ROUNDS = 256, 10, 20, 7
HIDDEN = (256, 256, 256)
Row = tuple[str, str, str, bool]


def frames() -> Tensor:
    """Ten atoms in space, 30 numbers a frame."""
    return torch.randn(BATCH * BATCHES, ATOMS, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def ours(backend: str, **options: Any) -> Callable[[], None]:
    """An epoch of the trainer."""
    x = frames()
    config = TrainConfig(backend=backend, hidden=HIDDEN, **options)
    vae = build_vae(config, Alignment("none", x.numpy().mean(axis=0), np.ones(ATOMS)), Sizes(30, "isotropic", 1e-3, 1))
    exact = vae.features.targets(x)
    exact = vae.features.fit(exact, 30, 0.1)
    inputs, targets = vae.features.inputs(exact).float(), exact.float()
    trainer = Trainer(vae, Split(inputs, targets, inputs[:8], targets[:8]), Schedule(1000, BATCH))
    epochs = iter(range(1, 1000))
    return lambda: float(trainer._epoch(next(epochs))) and None


def network(n_in: int, n_out: int) -> nn.Sequential:
    """A multilayer perceptron of the same widths."""
    sizes = (n_in, *HIDDEN)
    layers = [m for a, b in zip(sizes, HIDDEN, strict=False) for m in (nn.Linear(a, b), nn.SiLU())]
    return nn.Sequential(*layers, nn.Linear(HIDDEN[-1], n_out))


def descend(model: nn.Module, loss: Callable[[Tensor], Tensor]) -> Callable[[], None]:
    """An epoch of forward, backward and Adam."""
    x = frames().float().view(BATCHES, BATCH, 30)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-5)  # slow: a peer's loss turns into NaN otherwise

    def epoch() -> None:
        for batch in x:
            optimiser.zero_grad()
            loss(batch).backward()
            optimiser.step()

    return epoch


def coders(dim: int, scale: str) -> tuple[nn.Module, nn.Module]:
    """pythae's encoder, with `dim` of its four outputs as the embedding and the rest by the given name; its decoder."""
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.body = network(30, 4)

        def forward(self, x: Tensor) -> ModelOutput:
            out = self.body(x)
            return ModelOutput(**{"embedding": out[:, :dim], scale: out[:, dim:]})

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.body = network(dim, 30)

        def forward(self, z: Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.body(z))

    return Encoder(), Decoder()


def pythae_svae() -> nn.Module:
    """pythae's hyperspherical VAE on the sphere S^2."""
    from pythae.models import SVAE, SVAEConfig

    return SVAE(SVAEConfig(input_dim=(30,), latent_dim=3), *coders(3, "log_concentration"))


def pythae_rhvae() -> nn.Module:
    """pythae's Riemannian Hamiltonian VAE, two dimensions, three leapfrog steps; the batch is its centroids."""
    from pythae.models import RHVAE, RHVAEConfig

    return RHVAE(RHVAEConfig(input_dim=(30,), latent_dim=2, n_lf=3), *coders(2, "log_covariance"))


def flowing(**options: str | int) -> Callable[[], None]:
    """An epoch of the trainer with the flow on."""
    return ours("rhvae", settings={"warmup": 0.0, "centroids": 100}, **options)


def bare(model: nn.Module) -> Callable[[], None]:
    """An epoch without pythae's own trainer."""
    return descend(model, lambda x: model({"data": x}).loss)


def by_its_trainer(model: nn.Module) -> Callable[[], None]:
    """An epoch of pythae's own trainer, with its defaults."""
    from pythae.data.datasets import BaseDataset
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    x = frames().float().view(-1, 30)
    config = BaseTrainerConfig(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=BATCH, num_epochs=1, no_cuda=True
    )
    trainer = BaseTrainer(model, BaseDataset(x, torch.ones(len(x))), training_config=config)
    trainer.prepare_training()
    return lambda: trainer.train_step(1) and None


def manify_product() -> Callable[[], None]:
    """manify's VAE on H2 x S2 x E2 with 16 draws for the KL."""
    from manify.embedders.vae import ProductSpaceVAE
    from manify.manifolds import ProductManifold

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = network(30, 12)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            out = self.body(x)
            return out[:, :6], out[:, 6:]

    manifold = ProductManifold(signature=[(-1.0, 2), (1.0, 2), (0.0, 2)])
    size = manifold.mu0.shape[-1]
    model = ProductSpaceVAE(Encoder(), network(size, 30), manifold, n_samples=16)
    return descend(model, lambda x: -model.elbo(x)[0])


def networks_alone() -> Callable[[], None]:
    """The same networks without any latent distribution: what none can be faster than."""
    encoder, decoder = network(30, 4), network(3, 30)
    both = nn.ModuleList([encoder, decoder])
    return descend(both, lambda x: (decoder(encoder(x)[:, :3]) - x).square().sum())


def compare(name: str, mine: Callable[[], None], peer: str, theirs: Callable[[], None], bound: float) -> Row:
    """Epochs in turn; the median of the ratios of neighbours in time."""
    ratios, speeds = [], []
    mine(), theirs()
    for _ in range(ROUNDS):
        seconds = []
        for run in (mine, theirs):
            begun = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - begun)
        ratios.append(seconds[1] / seconds[0])
        speeds.append([BATCH * BATCHES / s for s in seconds])
    ratio = statistics.median(ratios)
    fast, slow = (statistics.median(column) for column in zip(*speeds, strict=True))
    text = f"{ratio:.2f} x ({fast:,.0f} and {slow:,.0f} frames/s; range {min(ratios):.2f} to {max(ratios):.2f})"
    return f"{name} against {peer}", text, f">= {bound} x", ratio >= bound


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = [
        compare("hyperspherical", ours("hyperspherical"), "pythae SVAE", bare(pythae_svae()), 1.6),
        compare("hyperspherical", ours("hyperspherical"), "pythae's trainer", by_its_trainer(pythae_svae()), 1.6),
        compare("hyperspherical", ours("hyperspherical"), "the networks alone", networks_alone(), 0.0),
        compare("rhvae, 3 steps", flowing(latent_dim=2), "pythae RHVAE", bare(pythae_rhvae()), 2.5),
        compare("product h2,s2,e2", ours("product", signature="h2,s2,e2"), "manify, 16 draws", manify_product(), 4.0),
    ]
    for name, found, bound, good in rows:
        print(f"{'ok  ' if good else 'MISS'}  {name}: {found}   [{bound}]")


if __name__ == "__main__":
    main()
