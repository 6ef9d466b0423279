"""AdamW over one vector: the same steps as torch's own over many tensors, and a state that goes on."""

from __future__ import annotations

import torch
from torch import nn

from trajvae.training.optimiser import Optimiser


def _network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).double()


def _loss(network: nn.Module, scale: torch.Tensor, k: int) -> torch.Tensor:
    x = torch.randn(7, 3, generator=torch.Generator().manual_seed(k), dtype=torch.float64)
    return (scale * network(x) - x[:, :2]).square().sum()


def _made(seed: int = 0) -> tuple[nn.Sequential, nn.Parameter, Optimiser]:
    network, own = _network(seed), nn.Parameter(torch.tensor(1.5, dtype=torch.float64))
    return network, own, Optimiser(list(network.parameters()), [own], 0.1)


def test_steps_are_torch_s() -> None:
    """Weights after ten steps equal those of clip_grad_norm_ and AdamW with two groups of parameters, to 1e-12."""
    network, own, optimiser = _made()
    twin, twin_own = _network(), nn.Parameter(torch.tensor(1.5, dtype=torch.float64))
    groups = [{"params": list(twin.parameters())}, {"params": [twin_own], "weight_decay": 0.0}]
    adam = torch.optim.AdamW(groups, lr=0.0, weight_decay=0.1)
    norms = []
    for k in range(10):
        optimiser.step(_loss(network, own, k), 0.02, 0.3 if k > 3 else 0.0)
        adam.zero_grad()
        _loss(twin, twin_own, k).backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_([*twin.parameters(), twin_own], 5.0)))
        adam.param_groups[0]["lr"], adam.param_groups[1]["lr"] = 0.02, 0.3 if k > 3 else 0.0
        adam.step()
    assert norms[0] > 5.0  # so that the norm is really clipped
    for a, b in zip(network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(own, twin_own, rtol=1e-12, atol=1e-12)


def test_a_state_goes_on() -> None:
    """Six steps, or three, a copy of weights and state in fresh objects, and three more, end in the same bits."""
    network, own, optimiser = _made()
    for k in range(6):
        if k == 3:
            kept = {name: value.clone() for name, value in network.state_dict().items()}
            state, at = {name: value.clone() for name, value in optimiser.state().items()}, own.detach().clone()
        optimiser.step(_loss(network, own, k), 0.02, 0.01)
    other, other_own, again = _made(seed=5)
    other.load_state_dict(kept)
    other_own.data.copy_(at)
    again.load(state)
    for k in range(3, 6):
        again.step(_loss(other, other_own, k), 0.02, 0.01)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters(), strict=True))
    assert torch.equal(own, other_own)


def test_gradients_are_released() -> None:
    """Nothing of the gradients is left on the parameters."""
    network, own, optimiser = _made()
    optimiser.step(_loss(network, own, 0), 0.1, 0.1)
    optimiser.release()
    assert all(p.grad is None for p in (*network.parameters(), own))
