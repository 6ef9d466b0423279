"""The short way from aligned frames into the encoder is the long one, to single precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trajvae import Model
from trajvae.alignment.align import Alignment
from trajvae.config import TrainConfig
from trajvae.features import ShapeSpace
from trajvae.models.fused_encoder import fuse
from trajvae.models.pipeline_parts import ModelSizes, build_vae
from trajvae.models.vae import VAE
from trajvae.typing import Floats

ATOMS = 60


def _frames() -> Floats:
    """Frames whose stiffest components are a hundredth of the softest, about a structure of 30 Å; float64."""
    random = np.random.default_rng(0)
    modes = random.normal(size=(40, ATOMS * 3)) * np.geomspace(1.0, 0.01, 40)[:, None]
    mean = random.normal(scale=30.0, size=(ATOMS, 3))
    return mean + (random.normal(size=(300, 40)) @ modes).reshape(300, ATOMS, 3)


def _vae(x: Floats, n_inputs: int, width: int, carried: int) -> VAE:
    alignment = Alignment.fit("superpose", x, np.ones(ATOMS))
    sizes = ModelSizes(n_inputs, "isotropic", 1e-3, 300, carried=carried)
    vae = build_vae(TrainConfig(hidden=(width, 20)), alignment, sizes)
    torch.nn.init.normal_(vae.encoder.head.weight, generator=torch.Generator().manual_seed(0))
    space = vae.features
    assert isinstance(space, ShapeSpace)
    space.set_components(space.targets(torch.from_numpy(alignment.apply(x))), n_inputs, 0.1)
    if carried:
        vae.encoder.input_scale = torch.linspace(1.0, 0.1, n_inputs)
    return vae.eval().requires_grad_(False)


@pytest.mark.parametrize("carried", [0, 2])
@pytest.mark.parametrize("n_inputs, width", [(3, 256), (170, 16)], ids=["to the inputs", "to the first layer"])
def test_the_short_way_is_the_long_one(n_inputs: int, width: int, carried: int) -> None:
    """The posterior's parameters equal those in double precision to 1e-5 of their spread, over several blocks."""
    x = _frames()
    vae = _vae(x, n_inputs, width, carried)
    aligned = np.tile(Alignment.fit("superpose", x, np.ones(ATOMS)).apply(x), (4, 1, 1))
    fused_encoder = fuse(vae)
    assert fused_encoder is not None
    assert fused_encoder.weight.shape == (3 * ATOMS, n_inputs if n_inputs == 3 else width + carried)
    got = fused_encoder(torch.from_numpy(aligned.astype(np.float32)))
    exact = vae.double()
    wanted = exact.encode(exact.features.inputs(exact.features.targets(torch.from_numpy(aligned))))
    assert got.keys() == wanted.keys()
    for name, value in wanted.items():
        assert got[name].dtype == torch.float32 and got[name].shape == value.shape
        assert (got[name] - value).abs().max() < 1e-5 * value.std(dim=0).max() + 1e-6


def test_weights_that_change_are_seen(tiny_model: Model, chain: Floats) -> None:
    """Encoding twice with a step of training in between is encoding with both sets of weights."""
    pipeline = tiny_model.pipeline
    layer = pipeline.vae.encoder.first
    before = pipeline.encode(chain)[0].scale
    with torch.no_grad():
        layer.weight.mul_(2.0)
        doubled = pipeline.encode(chain)[0].scale
        layer.weight.mul_(0.5)
    assert np.abs(doubled - before).max() > 1e-3
    np.testing.assert_array_equal(pipeline.encode(chain)[0].scale, before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_without_measures_latents_are_the_same(tiny_model: Model, chain: Floats, dtype: type) -> None:
    """Bit for bit, with the aligned frames: an encoding alone takes no other way than one that is decoded."""
    x = chain.astype(dtype)
    full, measured, aligned = tiny_model.pipeline.reconstruct(x)
    bare, again = tiny_model.pipeline.encode(x)
    np.testing.assert_array_equal(bare.latent, full.latent)
    np.testing.assert_array_equal(bare.scale, full.scale)
    np.testing.assert_array_equal(again, aligned)
    assert all(len(values) == len(x) and np.isfinite(values).all() for values in measured)


def test_single_precision_measures_what_double_does(tiny_model: Model, chain: Floats) -> None:
    """Latents, and RMSDs in Å, to 1e-5, KL to 1e-4 nats."""
    (one, single, _), (two, double, _) = (tiny_model.pipeline.reconstruct(x) for x in (chain, chain.astype(np.float64)))
    np.testing.assert_allclose(one.latent, two.latent, atol=1e-5)
    np.testing.assert_allclose(single.rmsd, double.rmsd, atol=1e-5)
    np.testing.assert_allclose(single.pca_rmsd, double.pca_rmsd, atol=1e-5)
    np.testing.assert_allclose(single.kl, double.kl, atol=1e-4)
