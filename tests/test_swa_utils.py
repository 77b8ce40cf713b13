"""Averages of weights: torch's, update by update."""

import copy

import numpy as np
import pytest
import torch
from torch.optim import swa_utils as torch_swa

import minigrad as mg
from minigrad import nn, optim
from minigrad.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def network(layers):
    """Batch norm with and without weights, a shared layer, and a buffer that is not saved."""
    shared = layers.Linear(5, 5)
    model = layers.Sequential(
        layers.Conv2d(2, 3, 3), layers.BatchNorm2d(3), layers.ReLU(), layers.Flatten(),
        layers.Linear(12, 5), shared, layers.BatchNorm1d(5, affine=False), shared,
        layers.Linear(5, 2)).double()
    tensor = mg.tensor if layers is nn else torch.tensor
    model.register_buffer("seen", tensor([[0.0, 0.5]], dtype=mg.float64 if layers is nn
                                         else torch.float64), persistent=False)
    model.register_buffer("count", tensor(3))
    return model


def both():
    """minigrad's network and torch's, with equal weights."""
    ours, theirs = network(nn), network(torch.nn)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def change(ours, theirs, rng):
    """Move every float by chance, and count on."""
    for mine, other in ((ours.parameters, theirs.parameters), (ours.buffers, theirs.buffers)):
        for a, b in zip(mine(), other(), strict=True):
            if b.dtype == torch.float64:
                value = b.detach().numpy() + rng.standard_normal(b.shape)
            else:
                value = b.numpy() + rng.integers(1, 9)
            with mg.no_grad(), torch.no_grad():
                a.copy_(value)
                b.copy_(torch.tensor(value))


def assert_equal_state(ours, theirs):
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for mine, other in ((ours.parameters, theirs.parameters), (ours.buffers, theirs.buffers)):
        for a, b in zip(mine(), other(), strict=True):
            assert str(a.dtype) == str(b.dtype).removeprefix("torch.")
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("use_buffers", [False, True])
@pytest.mark.parametrize("decay", [None, 0, 0.5, 0.9, 0.999, 1])
def test_every_update_is_torchs(decay, use_buffers):
    ours, theirs = both()
    averaged = AveragedModel(ours, use_buffers=use_buffers, multi_avg_fn=(
        None if decay is None else get_ema_multi_avg_fn(decay)))
    expected = torch_swa.AveragedModel(theirs, use_buffers=use_buffers, multi_avg_fn=(
        None if decay is None else torch_swa.get_ema_multi_avg_fn(decay)))
    assert_equal_state(averaged, expected)
    rng = np.random.default_rng(0)
    for step in range(20):
        change(ours, theirs, rng)
        averaged.update_parameters(ours)
        expected.update_parameters(theirs)
        assert averaged.n_averaged.item() == step + 1
        assert_equal_state(averaged, expected)
        assert_equal_state(ours, theirs)


@pytest.mark.parametrize("use_buffers", [False, True])
def test_in_training_with_batch_norm_it_is_torchs(use_buffers):
    ours, theirs = both()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((8, 2, 4, 4))
    averages, outputs = [], []
    for model, package, swa, tensor in ((ours, optim, optim.swa_utils, mg.tensor),
                                        (theirs, torch.optim, torch_swa, torch.tensor)):
        averaged = swa.AveragedModel(model, multi_avg_fn=swa.get_ema_multi_avg_fn(0.8),
                                     use_buffers=use_buffers)
        sgd = package.SGD(model.parameters(), lr=0.001, momentum=0.9)
        for step in range(30):
            sgd.zero_grad()
            (model(tensor(x + 0.1 * step)) ** 2).sum().backward()
            sgd.step()
            averaged.update_parameters(model)
        averages.append(averaged)
        outputs.append(averaged.eval()(tensor(x)).detach().numpy())
        assert model.training
    for a, b in zip(*(each.state_dict().values() for each in averages), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(*outputs, rtol=0, atol=1e-12)


def test_equal_averages_are_means():
    rng = np.random.default_rng(0)
    model = nn.Linear(3, 2).double()
    averaged = AveragedModel(model)
    values = rng.standard_normal((7, 2, 3))
    for value in values:
        with mg.no_grad():
            model.weight.copy_(value)
        averaged.update_parameters(model)
    np.testing.assert_allclose(averaged.module.weight.detach().numpy(), values.mean(0), atol=1e-15)


def test_an_average_of_ones_own():
    calls = []

    def running_maximum(averaged, current, num_averaged):
        calls.append((len(averaged), {str(a.dtype) for a in averaged}, int(num_averaged)))
        for a, p in zip(averaged, current, strict=True):
            a.copy_(a.maximum(p))

    model = nn.BatchNorm1d(2)
    averaged = AveragedModel(model, multi_avg_fn=running_maximum, use_buffers=True)
    for value in (1.0, -5.0, 3.0):
        with mg.no_grad():
            model.weight.fill_(value)
        averaged.update_parameters(model)
    assert averaged.module.weight.tolist() == [3, 3]
    assert calls == [(4, {"float32"}, 1), (1, {"int64"}, 1), (4, {"float32"}, 2), (1, {"int64"}, 2)]


def test_the_average_is_a_model_of_its_own():
    ours, _ = both()
    kept = {key: value.numpy().copy() for key, value in ours.state_dict().items()}
    x = mg.randn(4, 2, 4, 4, dtype=mg.float64)
    ours(x).sum().backward()
    called = []
    handle = ours.register_forward_hook(lambda module, *_: called.append(module))
    averaged = AveragedModel(ours, multi_avg_fn=get_ema_multi_avg_fn(0.5))
    assert all(p.grad is None for p in averaged.parameters())       # as torch's copies have none
    assert all(p.requires_grad for p in averaged.parameters())
    assert averaged.module[5] is averaged.module[7]                 # what is shared stays shared
    for a in [*averaged.parameters(), *averaged.buffers()]:
        assert not any(np.shares_memory(a.data, p.data)
                       for p in [*ours.parameters(), *ours.buffers()])
    handle.remove()
    averaged(x)
    assert called == [averaged.module]                              # hooks are copied, as by torch
    for p in ours.parameters():
        p.data -= 100.0
    for key, value in averaged.state_dict().items():
        if key != "n_averaged" and "running" not in key and "num_batches" not in key:
            np.testing.assert_array_equal(value.numpy(), kept[key.removeprefix("module.")])
    ours.eval()
    averaged.update_parameters(ours)
    assert averaged.module.training


def test_state_goes_to_torch_and_back():
    ours, theirs = both()
    rng = np.random.default_rng(0)
    averaged = AveragedModel(ours, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    for _ in range(3):
        change(ours, theirs, rng)
        averaged.update_parameters(ours)
    expected = torch_swa.AveragedModel(theirs, multi_avg_fn=torch_swa.get_ema_multi_avg_fn(0.9))
    expected.load_state_dict({k: torch.tensor(v.numpy()) for k, v in averaged.state_dict().items()})
    resumed = AveragedModel(ours, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    resumed.load_state_dict(expected.state_dict())
    change(ours, theirs, rng)
    for each, model in ((averaged, ours), (expected, theirs), (resumed, ours)):
        each.update_parameters(model)
    assert resumed.n_averaged.item() == expected.n_averaged.item() == 4
    for key, value in expected.state_dict().items():
        for mine in (averaged, resumed):
            np.testing.assert_allclose(mine.state_dict()[key].numpy(), value.numpy(), atol=1e-12)


def test_a_copy_of_an_average_goes_its_own_way():
    model = nn.Linear(2, 2)
    averaged = AveragedModel(model)
    averaged.update_parameters(model)
    twin = copy.deepcopy(averaged)
    before = averaged.module.weight.detach().numpy().copy()
    with mg.no_grad():
        model.weight.fill_(4.0)
    twin.update_parameters(model)
    np.testing.assert_array_equal(averaged.module.weight.detach().numpy(), before)
    np.testing.assert_allclose(twin.module.weight.detach().numpy(), (before + 4) / 2, rtol=1e-6)
    assert (averaged.n_averaged.item(), twin.n_averaged.item()) == (1, 2)


def test_an_update_is_a_change_in_place_that_backward_notices():
    model = nn.Linear(2, 2)
    averaged = AveragedModel(model)
    for _ in range(3):                                  # the first copies, the others average
        y = averaged(mg.ones(1, 2, requires_grad=True))
        averaged.update_parameters(model)
        with pytest.raises(RuntimeError, match="changed in place"):
            y.sum().backward()


@pytest.mark.parametrize("other", [nn.Linear(3, 1), nn.Linear(2, 3, bias=False),
                                   nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))])
def test_another_model_is_refused(other):
    averaged = AveragedModel(nn.Linear(2, 3))
    before = averaged.module.weight.detach().numpy().copy()
    with pytest.raises(ValueError, match=r"parameters and buffers of the shapes \[\(3, 2"):
        averaged.update_parameters(other)
    np.testing.assert_array_equal(averaged.module.weight.detach().numpy(), before)
    assert averaged.n_averaged.item() == 0


@pytest.mark.parametrize("decay", [-0.1, 1.1, float("nan")])
def test_decay_is_a_part(decay):
    with pytest.raises(ValueError, match=rf"decay must be in \[0, 1\]; got {decay}"):
        get_ema_multi_avg_fn(decay)
