"""Maximum mean discrepancy: against the plain double sum, with its gradient and its null."""

from __future__ import annotations

import pytest
import torch

from trajvae.geometry.cube_maps.discrepancy import SCALES, discrepancy, multiquadric, null_quantile


def _sample(n: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    return shift + torch.randn(n, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _kernel(a: torch.Tensor, b: torch.Tensor, spread: float) -> float:
    square = float((a - b).square().sum())
    return sum(s * spread / (s * spread + square) for s in SCALES) / len(SCALES)


def test_it_is_the_double_sum() -> None:
    """Eq. 3 of Gretton et al., but for the term of y alone."""
    x, y = _sample(5, 1), _sample(7, 2, 0.5)
    within = sum(_kernel(a, b, 6.0) for i, a in enumerate(x) for j, b in enumerate(x) if i != j) / 20
    across = sum(_kernel(a, b, 6.0) for a in x for b in y) / 35
    assert float(discrepancy(x, y, 6.0)) == pytest.approx(within - 2.0 * across, abs=1e-12)
    assert float(multiquadric(torch.tensor(0.0), 6.0)) == pytest.approx(1.0)


def test_its_gradient_is_that_of_finite_differences() -> None:
    """The closed backward pass."""
    x, y = _sample(6, 1).requires_grad_(), _sample(4, 2)
    assert torch.autograd.gradcheck(lambda x: discrepancy(x, y, 6.0), x)


def test_the_null_holds_for_one_law_and_not_for_two() -> None:
    """About one in twenty pairs of samples of one law lies above the null's 95 % point; a shifted one always does."""
    generator = torch.Generator().manual_seed(0)
    above = 0
    for k in range(60):
        found, null = null_quantile(_sample(100, 3 * k), _sample(100, 3 * k + 1), 6.0, generator)
        above += found > null
    assert above <= 9  # binomial(60, 0.05): P(> 9) is 0.1 %
    found, null = null_quantile(_sample(300, 1), _sample(300, 2, 0.4), 6.0, generator)
    assert found > 2.0 * null


def test_the_null_s_statistic_is_the_unbiased_estimate() -> None:
    """The same number as the double sums, all three of them."""
    x, y = _sample(9, 1), _sample(9, 2)
    found, _ = null_quantile(x, y, 6.0, torch.Generator().manual_seed(0))
    within_y = sum(_kernel(a, b, 6.0) for i, a in enumerate(y) for j, b in enumerate(y) if i != j) / 72
    assert found == pytest.approx(float(discrepancy(x, y, 6.0)) + within_y, abs=1e-12)
