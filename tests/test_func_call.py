"""functional_call: a module as a function of its parameters, as torch.func has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import minigrad as mg
import minigrad.functional as F
from minigrad import func, nn
from minigrad.tensor import Tensor

# torch's first jvp imports scripts
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script")


def pair() -> tuple[nn.Module, torch.nn.Module]:
    """The same network in both frameworks, in float64."""
    mg.manual_seed(0)
    ours, theirs = (m.Sequential(m.Linear(4, 5), m.BatchNorm1d(5), m.Tanh(), m.Linear(5, 3))
                    for m in (nn, torch.nn))
    ours, theirs = ours.double(), theirs.double()
    theirs.load_state_dict({k: torch.tensor(v.data) for k, v in ours.state_dict().items()})
    return ours, theirs


RNG = np.random.default_rng(0)
X, CLASSES = RNG.standard_normal((6, 4)), RNG.integers(0, 3, 6)


def test_gradients_by_all_parameters_are_torchs() -> None:
    ours, theirs = pair()
    ours.eval()
    theirs.eval()
    weights = {k: Tensor(RNG.standard_normal(p.shape)) for k, p in ours.named_parameters()}
    torch_weights = {k: torch.tensor(t.data) for k, t in weights.items()}

    def loss(p: Any, x: Any, y: Any) -> Any:
        return F.cross_entropy(func.functional_call(ours, p, (x,)), y)

    def torch_loss(p: Any, x: Any, y: Any) -> Any:
        return torch.nn.functional.cross_entropy(torch.func.functional_call(theirs, p, (x,)), y)

    before = {k: (id(v), v.data.copy()) for k, v in ours.named_parameters()}
    found, value = func.grad_and_value(loss)(weights, Tensor(X), CLASSES)
    expected, torch_value = torch.func.grad_and_value(torch_loss)(
        torch_weights, torch.tensor(X), torch.tensor(CLASSES))
    assert value.item() == pytest.approx(torch_value.item(), rel=1e-12)
    assert list(found) == list(expected)
    for k, g in found.items():
        np.testing.assert_allclose(g.data, expected[k].numpy(), rtol=1e-10, atol=1e-12)
    for k, p in ours.named_parameters():
        assert before[k][0] == id(p)
        np.testing.assert_array_equal(before[k][1], p.data)
        assert p.grad is None


def test_gradients_are_those_of_backward() -> None:
    """With the module's own parameters, and buffers that move."""
    ours, _ = pair()
    own, buffers = dict(ours.named_parameters()), dict(ours.named_buffers())
    moved = {k: b.clone() for k, b in buffers.items()}
    found = func.grad(lambda p: F.cross_entropy(
        func.functional_call(ours, (p, moved), Tensor(X)), CLASSES))(own)
    assert buffers["1.num_batches_tracked"].item() == 0
    assert moved["1.num_batches_tracked"].item() == 1
    F.cross_entropy(ours(Tensor(X)), CLASSES).backward()
    for k, p in own.items():
        np.testing.assert_allclose(found[k].data, p.grad.data, rtol=1e-9, atol=1e-12)
    for k, b in buffers.items():
        np.testing.assert_array_equal(moved[k].data, b.data)


def test_a_convolutional_network_in_every_direction() -> None:
    """jvp, vjp and the product with the Hessian; torch.func cannot do the last: batch norm's second
    derivatives are wrong there, so the reference is torch.autograd."""
    mg.manual_seed(0)
    ours, theirs = (m.Sequential(m.Conv2d(2, 3, 3), m.BatchNorm2d(3, track_running_stats=False),
                                 m.GELU(), m.MaxPool2d(2), m.Flatten(), m.Linear(12, 3))
                    for m in (nn, torch.nn))
    ours, theirs = ours.double(), theirs.double()
    theirs.load_state_dict({k: torch.tensor(v.data) for k, v in ours.state_dict().items()})
    x, v = RNG.standard_normal((2, 6, 2, 6, 6))

    _, dy = func.jvp(ours, (Tensor(x),), (Tensor(v),))
    _, expected = torch.func.jvp(theirs, (torch.tensor(x),), (torch.tensor(v),))
    np.testing.assert_allclose(dy.data, expected.detach().numpy(), rtol=1e-9, atol=1e-11)

    names = [k for k, _ in ours.named_parameters()]
    vs = [RNG.standard_normal(p.shape) for p in ours.parameters()]
    found = func.hvp(lambda p: F.cross_entropy(func.functional_call(ours, p, Tensor(x)), CLASSES),
                     (dict(ours.named_parameters()),),
                     ({k: Tensor(v) for k, v in zip(names, vs, strict=True)},))
    _, expected = torch.autograd.functional.hvp(
        lambda *p: torch.nn.functional.cross_entropy(
            torch.func.functional_call(theirs, dict(zip(names, p, strict=True)), torch.tensor(x)),
            torch.tensor(CLASSES)),
        tuple(p.detach() for p in theirs.parameters()), tuple(map(torch.tensor, vs)))
    for name, g in zip(names, expected, strict=True):
        np.testing.assert_allclose(found[name].data, g.numpy(), rtol=1e-8, atol=1e-10)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.foo = nn.Parameter(np.ones(2))
        self.again = self.foo

    def forward(self, x: Any, scale: float = 1.0) -> Any:
        return (x + self.foo * 10 + self.again) * scale


class TorchTied(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.foo = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
        self.again = self.foo

    forward = Tied.forward


def ours(dicts: Any, *args: Any, **options: Any) -> Any:
    return func.functional_call(Tied(), dicts, *args, **options).tolist()


def torchs(dicts: Any, *args: Any, **options: Any) -> Any:
    return torch.func.functional_call(TorchTied(), dicts, *args, **options).tolist()


Call = Callable[[Any, Any], Any]
CALLS: list[Call] = [
    lambda call, t: call({}, t(0.0)),
    lambda call, t: call({"foo": t(2.0)}, t(0.0)),
    lambda call, t: call({"again": t(2.0)}, (t(0.0),)),
    lambda call, t: call({"foo": t(2.0)}, t(0.0), tie_weights=False),
    lambda call, t: call({"foo": t(2.0), "again": t(3.0)}, t(0.0), tie_weights=False),
    lambda call, t: call(({"foo": t(2.0)}, {}), (t(1.0), 3.0)),
    lambda call, t: call([{"foo": t(2.0)}], (t(1.0),), {"scale": 2.0}),
    lambda call, t: call({"foo": t(2.0)}, None, {"x": t(1.0)}),
    lambda call, t: call({"foo": t(2.0)}, t(1.0), strict=True),
]


@pytest.mark.parametrize("call", CALLS)
def test_arguments_and_shared_parameters(call: Call) -> None:
    assert call(ours, lambda v: Tensor(np.full(2, v))) == call(
        torchs, lambda v: torch.full((2,), v, dtype=torch.float64))


REFUSED: list[tuple[type[Exception], str, Call]] = [
    (ValueError, "got different Tensors for .'again', 'foo'.", lambda call, t: call(
        {"foo": t(2.0), "again": t(3.0)}, t(0.0))),
    (ValueError, "'foo'. are in more than one dict", lambda call, t: call(
        ({"foo": t(2.0)}, {"foo": t(3.0)}), t(0.0))),
    (ValueError, "needs a dict of Tensors .* got int", lambda call, t: call(3, t(0.0))),
    (ValueError, "needs a dict of Tensors .* got Tensor|list", lambda call, t: call(
        [t(1.0)], t(0.0))),
    (TypeError, "'foo' must be a Tensor; got float", lambda call, t: call({"foo": 3.0}, t(0.0))),
    (AttributeError, "Tied has no parameter or buffer 'bar.foo'", lambda call, t: call(
        {"bar.foo": t(1.0)}, t(0.0))),
    (RuntimeError, "does not have the names .'bar'., and was not given .'again', 'foo'.",
     lambda call, t: call({"bar": t(1.0)}, t(0.0), strict=True)),
]


@pytest.mark.parametrize(("kind", "message", "call"), REFUSED)
def test_refusals(kind: type[Exception], message: str, call: Call) -> None:
    with pytest.raises(kind, match=f"^functional_call: .*{message}"):
        call(ours, lambda v: Tensor(np.full(2, v)))
    with pytest.raises((TypeError, ValueError, AttributeError, RuntimeError, KeyError)):
        call(torchs, lambda v: torch.full((2,), v, dtype=torch.float64))


def test_an_unknown_name_is_refused_though_torch_ignores_it() -> None:
    """Its gradient would be zero, without a word."""
    with pytest.raises(AttributeError, match=r"^functional_call: Tied has no .* 'bar'"):
        ours({"bar": Tensor(np.ones(2))}, Tensor(np.zeros(2)))


def test_the_module_is_itself_again_after_an_error() -> None:
    module = nn.Linear(3, 2)
    weight, bias = module.weight, module.bias
    with pytest.raises(RuntimeError):
        func.functional_call(module, {"weight": mg.zeros(5, 5), "bias": mg.zeros(2)},
                             mg.zeros(1, 3))
    assert module.weight is weight
    assert module.bias is bias
