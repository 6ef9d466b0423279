"""The networks: heads, initial weights, and that a seed fixes them."""

from __future__ import annotations

import math

import pytest
import torch

from trajvae.errors import OptionError
from trajvae.networks import MLP


def _mlp(seed: int = 0, hidden: tuple[int, ...] = (300, 400)) -> MLP:
    return MLP(200, hidden, {"loc": 3, "log_scale": 2}, torch.Generator().manual_seed(seed))


def test_each_head_has_its_size() -> None:
    """One output a head, of the size asked for, and of order zero at first."""
    out = _mlp()(torch.randn(7, 200, generator=torch.Generator().manual_seed(0)))
    assert {k: tuple(v.shape) for k, v in out.items()} == {"loc": (7, 3), "log_scale": (7, 2)}
    assert max(float(v.detach().abs().max()) for v in out.values()) < 1.0


def test_the_seed_fixes_every_weight_whatever_the_global_state() -> None:
    """Equal seeds give equal bits, even after torch's own generator has moved on; other seeds differ."""
    first = _mlp(1).state_dict()
    torch.manual_seed(5)
    again, other = _mlp(1).state_dict(), _mlp(2).state_dict()
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert all(not torch.equal(first[k], other[k]) for k in first if k.endswith("weight"))


def test_initial_weights_have_the_stated_spread() -> None:
    """N(0, 2 / fan-in) in the trunk, a hundredth of that variance in the head, biases zero."""
    net = _mlp()
    for layer in net.trunk:
        expected = math.sqrt(2.0 / layer.in_features)
        assert abs(float(layer.weight.detach().std()) / expected - 1.0) < 4.0 / math.sqrt(2.0 * layer.weight.numel())
    expected = math.sqrt(0.02 / net.head.in_features)
    assert abs(float(net.head.weight.detach().std()) / expected - 1.0) < 4.0 / math.sqrt(2.0 * net.head.weight.numel())
    assert all(float(p.detach().abs().max()) == 0.0 for n, p in net.named_parameters() if n.endswith("bias"))


@pytest.mark.parametrize("hidden", [(), (0,), (16, -1)])
def test_impossible_widths_are_refused(hidden: tuple[int, ...]) -> None:
    """No hidden layer, or one of no width, is an OptionError."""
    with pytest.raises(OptionError, match="widths of 1 or more"):
        _mlp(hidden=hidden)


def test_the_network_is_smooth() -> None:
    """Second derivatives exist and are not zero: Riemannian backends differentiate decoders twice."""
    net = _mlp(hidden=(16,)).double()
    x = torch.randn(200, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    hessian = torch.autograd.functional.hessian(lambda v: net(v[None])["loc"].sum(), x)
    assert bool(hessian.isfinite().all())
    assert float(hessian.abs().max()) > 1e-8


def test_carried_inputs_are_added_to_the_first_outputs_of_loc() -> None:
    """At first they are these outputs; a head before it and one after it see nothing of them, nor do other outputs."""
    network = MLP(5, (64, 12), {"scale": 3, "loc": 6, "rest": 1}, torch.Generator().manual_seed(0), carried=4)
    x = torch.randn(7, 5, generator=torch.Generator().manual_seed(1))
    out = network(x)
    torch.testing.assert_close(out["loc"][:, :4], x[:, :4], atol=0, rtol=0)
    assert not bool(out["loc"][:, 4:].any()) and bool(out["scale"].any()) and bool(out["rest"].any())
    plain = MLP(5, (64, 12), {"scale": 3, "loc": 6, "rest": 1}, torch.Generator().manual_seed(0))
    for name in ("scale", "rest"):
        torch.testing.assert_close(out[name], plain(x)[name], atol=0, rtol=0)
    torch.nn.init.normal_(network.head.weight)
    network.input_scale[3] = 0.5
    moved = network(x)
    torch.nn.init.zeros_(plain.head.weight)
    plain.load_state_dict({k: v for k, v in network.state_dict().items() if k != "input_scale"})
    own = plain(x * network.input_scale)["loc"]
    torch.testing.assert_close(moved["loc"], own + torch.nn.functional.pad(x[:, :4], (0, 2)))


def test_carried_inputs_leave_second_derivatives() -> None:
    """The fast second derivative is that of the plain network: what is carried on has none."""
    network = MLP(3, (16, 16), {"loc": 4}, torch.Generator().manual_seed(0), carried=2).double()
    torch.nn.init.normal_(network.head.weight)
    x = torch.randn(3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    fast, slow = (
        torch.autograd.functional.hessian(lambda v, way=way: network(v[None], second_order=way)["loc"].sum(), x)
        for way in (True, False)
    )
    torch.testing.assert_close(fast, slow)


def test_a_linear_start_is_exact() -> None:
    """The first outputs of the head are the first inputs; no more of them than half of the narrowest layer carries."""
    network = MLP(5, (64, 12, 48), {"scale": 3, "loc": 6, "rest": 1}, torch.Generator().manual_seed(0))
    with torch.no_grad():
        network.head.weight.zero_()
    network.start_linear("loc", 5)
    x = torch.randn(7, 5, generator=torch.Generator().manual_seed(1))
    out = network(x)
    torch.testing.assert_close(out["loc"][:, :3], x[:, :3], atol=1e-6, rtol=0)
    assert all(bool((out[name] == 0.0).all()) for name in ("scale", "rest")) and bool((out["loc"][:, 3:] == 0.0).all())
