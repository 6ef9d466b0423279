"""What training minimises where some nats of divergence are free."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from trajvae.models.vae import Terms

FREE = 4.0  # nats, of two parts: two each


def _terms(low: float, high: float, penalty: Tensor | None = None) -> tuple[Terms, Tensor, Tensor]:
    """Eight frames whose two parts of the divergence have given means, and differ from frame to frame."""
    generator = torch.Generator().manual_seed(0)
    kl = torch.randn(8, 2, generator=generator, dtype=torch.float64)
    kl = (kl - kl.mean(dim=0) + torch.tensor([low, high])).requires_grad_()
    value = torch.randn(8, generator=generator, dtype=torch.float64).requires_grad_()
    return Terms(value, kl, torch.zeros(8, 3), penalty), value, kl


@pytest.mark.parametrize("beta", [0.25, 1.0, 2.5])
def test_without_free_bits_the_loss_is_the_objective(beta: float) -> None:
    """The loss is the mean of -log-likelihood + beta KL, by default too."""
    terms, value, kl = _terms(1.0, 3.0)
    expected = -value.mean() + beta * kl.sum(dim=1).mean()
    torch.testing.assert_close(terms.loss(beta), expected)
    torch.testing.assert_close(terms.loss(beta), -terms.objective(beta).mean())


@pytest.mark.parametrize("beta", [0.25, 1.0, 2.5])
def test_parts_below_their_share_cost_nothing(beta: float) -> None:
    """The mean of a part below its share has no gradient; one above has beta, and the likelihood has its own."""
    terms, value, kl = _terms(1.0, 3.0)
    loss = terms.loss(beta, FREE)
    torch.testing.assert_close(loss, beta * (2.0 + 3.0) - value.mean())
    slope, of_value = torch.autograd.grad(loss, [kl, value])
    assert torch.equal(slope[:, 0], torch.zeros(8, dtype=torch.float64))
    torch.testing.assert_close(slope[:, 1], torch.full((8,), beta / 8, dtype=torch.float64))
    torch.testing.assert_close(of_value, torch.full((8,), -1 / 8, dtype=torch.float64))


def test_the_share_is_of_the_mean_over_frames() -> None:
    """Frames below the share are charged where the mean is above it: it is the mean of a part that counts."""
    terms, _, kl = _terms(2.2, 2.2)
    assert bool((kl < 2.0).any())
    (slope,) = torch.autograd.grad(terms.loss(1.0, FREE), kl)
    torch.testing.assert_close(slope, torch.full_like(slope, 1 / 8))


def test_above_their_share_free_bits_change_nothing() -> None:
    """Where all parts are above their shares the loss is that without free bits, value and gradient."""
    terms, _, kl = _terms(5.0, 7.0)
    with_bits, without = terms.loss(0.7, FREE), terms.loss(0.7)
    torch.testing.assert_close(with_bits, without)
    torch.testing.assert_close(*(torch.autograd.grad(loss, kl)[0] for loss in (with_bits, without)))


def test_all_parts_below_leave_the_likelihood_alone() -> None:
    """Where no part is above its share only the likelihood is descended on."""
    terms, value, kl = _terms(0.1, 1.9)
    slope, of_value = torch.autograd.grad(terms.loss(1.0, FREE), [kl, value])
    assert not bool(slope.any())
    assert bool(of_value.all())


def test_the_user_s_weights_of_terms_are_what_is_charged() -> None:
    """Where a latent space gives a penalty beside the KL, the share is of the penalty, and the KL is not charged."""
    penalty = torch.tensor([[1.0, 9.0]], dtype=torch.float64).repeat(8, 1).requires_grad_()
    terms, value, kl = _terms(5.0, 7.0, penalty)
    loss = terms.loss(0.5, FREE)
    torch.testing.assert_close(loss, 0.5 * (2.0 + 9.0) - value.mean())
    of_penalty, of_kl = torch.autograd.grad(loss, [penalty, kl], allow_unused=True)
    assert of_kl is None
    assert not bool(of_penalty[:, 0].any())
    torch.testing.assert_close(of_penalty[:, 1], torch.full((8,), 0.5 / 8, dtype=torch.float64))
