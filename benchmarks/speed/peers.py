"""Peers with the same networks: by their own trainers, and in a bare loop of forward, backward and a step of Adam."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from speed.clock import Timer, seconds
from speed.setting import HIDDEN, Setting, network

BARE = "bare loop"  # how names of timers end that leave out what the peer does beside its model
_SLOW = 1e-5  # a rate at which no peer's loss turns into NaN on these frames


def bare(model: nn.Module, loss: Callable[[Tensor], Tensor], setting: Setting) -> Timer:
    """Seconds of an epoch of a loop that does nothing else, over batches that stand ready."""
    batches = setting.rows().split(setting.batch)
    optimiser = torch.optim.Adam(model.parameters(), lr=_SLOW)

    def epochs() -> None:
        for batch in batches * setting.epochs:
            optimiser.zero_grad()
            loss(batch).backward()
            optimiser.step()

    timer = seconds(epochs)
    return lambda: timer() / setting.epochs


def _pythae_networks(setting: Setting, dim: int, heads: int, scale: str) -> tuple[nn.Module, nn.Module]:
    """pythae's encoder, with `dim` of its outputs as the embedding and the rest by the given name; its decoder."""
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.body = network((setting.features, *HIDDEN, heads))

        def forward(self, x: Tensor) -> ModelOutput:
            out = self.body(x)
            return ModelOutput(**{"embedding": out[:, :dim], scale: out[:, dim:]})

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.body = network((dim, *HIDDEN, setting.features))

        def forward(self, z: Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.body(z))

    return Encoder(), Decoder()


def _pythae_model(name: str, setting: Setting) -> nn.Module:
    """A VAE in the plane, one on the sphere, or a Riemannian Hamiltonian one with three leapfrog steps."""
    from pythae import models

    dim, heads, scale, more = {
        "VAE": (2, 4, "log_covariance", {}),
        "SVAE": (3, 4, "log_concentration", {}),
        "RHVAE": (2, 4, "log_covariance", {"n_lf": 3}),
    }[name]
    config = getattr(models, f"{name}Config")(input_dim=(setting.features,), latent_dim=dim, **more)
    model: nn.Module = getattr(models, name)(config, *_pythae_networks(setting, dim, heads, scale))
    return model


def _pythae_trainer(model: nn.Module, setting: Setting) -> Timer:
    """pythae's own trainer."""
    from pythae.data.datasets import BaseDataset
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    logging.getLogger("pythae").setLevel(logging.ERROR)
    rows, folder = setting.rows(), tempfile.TemporaryDirectory()
    config = BaseTrainerConfig(
        folder.name, per_device_train_batch_size=setting.batch, num_epochs=1, learning_rate=_SLOW, no_cuda=True
    )
    trainer = BaseTrainer(model, BaseDataset(rows, torch.ones(len(rows))), training_config=config)
    trainer.prepare_training()
    epoch = seconds(lambda: trainer.train_step(1))
    return lambda kept=folder: epoch()  # the folder is there as long as the timer


def pythae(name: str, setting: Setting) -> dict[str, Timer]:
    """Both ways of one of its models."""
    label = "pythae" if name == "VAE" else f"pythae {name}"
    model = _pythae_model(name, setting)
    return {
        f"{label}, {BARE}": bare(model, lambda x: model({"data": x}).loss, setting),
        f"{label}, its trainer": _pythae_trainer(_pythae_model(name, setting), setting),
    }


def _mlcolvar_model(setting: Setting) -> Any:
    """mlcolvar's VAE; it knows no SiLU by name. Its normalisation is off: ours is done before training."""
    from mlcolvar.cvs import VariationalAutoEncoderCV

    model = VariationalAutoEncoderCV(2, [setting.features, *HIDDEN], options={"norm_in": None})
    model.encoder.nn = network((setting.features, *HIDDEN), active=True)
    model.decoder.nn = network((2, *HIDDEN, setting.features))
    return model


def mlcolvar(setting: Setting) -> dict[str, Timer]:
    """A bare loop, and Lightning's trainer with mlcolvar's own fast loader, all that is optional switched off."""
    import lightning
    from mlcolvar.data import DictDataset, DictLoader

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    loader = DictLoader(DictDataset({"data": setting.rows()}), batch_size=setting.batch)
    off = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}

    class Clock(lightning.Callback):
        """When each epoch ended."""

        def __init__(self) -> None:
            self.marks: list[float] = []

        def on_train_epoch_end(self, *_: Any) -> None:
            self.marks.append(time.perf_counter())

    def trained() -> float:
        clock = Clock()
        trainer = lightning.Trainer(max_epochs=1 + setting.epochs, accelerator="cpu", callbacks=[clock], **off)
        trainer.fit(_mlcolvar_model(setting), loader)
        return (clock.marks[-1] - clock.marks[0]) / setting.epochs

    model = _mlcolvar_model(setting)

    def loss(x: Tensor) -> Tensor:
        mean, log_variance, decoded = model.encode_decode(x)
        value: Tensor = model.loss_fn(x, decoded, mean, log_variance)
        return value

    return {f"mlcolvar, {BARE}": bare(model, loss, setting), "mlcolvar, its trainer": trained}


def deeptime(setting: Setting) -> dict[str, Timer]:
    """Its time-lagged VAE without a lag: `fit` with torch's loader, and with batches that stand ready, unshuffled."""
    from deeptime.decomposition.deep import TVAE, TVAEEncoder
    from deeptime.util.torch import MLP

    rows = setting.rows()

    def model() -> Any:
        encoder = TVAEEncoder([setting.features, *HIDDEN, 2], nonlinearity=nn.SiLU)
        return TVAE(encoder, MLP([2, *HIDDEN, setting.features], nonlinearity=nn.SiLU), learning_rate=_SLOW)

    pairs = torch.utils.data.TensorDataset(rows, rows)
    loader = torch.utils.data.DataLoader(pairs, batch_size=setting.batch, shuffle=True)
    ready = [(batch, batch) for batch in rows.split(setting.batch)]
    one, other = model(), model()
    several = seconds(lambda: one.fit(ready, n_epochs=setting.epochs))
    return {
        f"deeptime, batches ready, {BARE}": lambda: several() / setting.epochs,
        "deeptime, its loader": seconds(lambda: other.fit(loader, n_epochs=1)),
    }
