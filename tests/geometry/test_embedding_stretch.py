"""The stretch of maps: against singular values in extended precision, where float32 loses thin directions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trajvae.geometry.cube_maps.cube_map import LearnedMap, log_stretch
from trajvae.geometry.manifolds import Spheres


@pytest.mark.parametrize("thin", [1.0, 1e-4, 1e-6, 1e-8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_thin_directions_keep_their_logarithm(thin: float, dtype: torch.dtype) -> None:
    """The sum of the logarithms of singular values, which is known by construction."""
    random = np.random.default_rng(0)
    left, right = np.linalg.qr(random.normal(size=(5, 3)))[0], np.linalg.qr(random.normal(size=(3, 3)))[0]
    j = torch.from_numpy(left @ np.diag([2.0, 0.7, thin]) @ right.T).to(dtype)[None]
    expected = float(np.log(np.linalg.svd(j[0].double().numpy(), compute_uv=False)).sum())
    assert float(log_stretch(j)) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("dim", [1, 3])
def test_singular_maps_have_finite_logarithms_and_gradients(dim: int) -> None:
    """Columns that are equal, or nothing at all."""
    for j in (torch.ones(4, 5, dim), torch.zeros(4, 5, dim)):
        j.requires_grad_()
        value = log_stretch(j)
        value.sum().backward()
        assert bool(value.isfinite().all()) and bool(j.grad.isfinite().all())


def test_a_map_s_density_is_that_of_its_double() -> None:
    """Of a saturated network, whose Jacobian is nearly singular: float32 numbers give what float64 ones give."""
    generator = torch.Generator().manual_seed(0)
    made = LearnedMap(Spheres((2,)))
    for name, buffer in made.named_buffers():
        buffer.copy_(torch.randn(buffer.shape, generator=generator) * (0.9 if "weight" in name else 0.5))
    u = torch.rand(200, 2, generator=generator)
    single, double = made.log_density_ratio(u), made.log_density_ratio(u.double())
    assert single.dtype == torch.float32 and bool(single.isfinite().all())
    assert torch.allclose(single.double(), double, atol=1e-3)
