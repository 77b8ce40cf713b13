"""Dropout on PyTorch's side has minigrad's masks: in one process, in several, after a restart."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from processes import together

import minigrad as mg
import torch_impl.checkpoint
from minigrad import checkpoint, nn, optim, train
from minigrad.data import ArrayDataset, DataLoader
from torch_impl import train as torch_train, workers

CHANNELS = {"Dropout1d": (4, 6), "Dropout2d": (4, 3, 2)}
EPOCHS = 3


def network(side, layer):
    """Layers of either side, with dropout of values and of what `layer` drops."""
    shape = CHANNELS.get(layer, (24,))
    return side.Sequential(side.Linear(5, 24), side.ReLU(), side.Dropout(0.4),
                           side.Unflatten(1, shape), getattr(side, layer)(0.5), side.Flatten(),
                           side.Linear(24, 3))


def data():
    rng = np.random.default_rng(0)
    return DataLoader(ArrayDataset(rng.standard_normal((31, 5)), rng.integers(0, 3, 31)), 10,
                      shuffle=True)


def trained(module, layer="Dropout", epochs=EPOCHS, start=None, path=None, **options):
    """A network of either side, and its losses."""
    mg.manual_seed(4)
    weights = {key: value.numpy()
               for key, value in network(nn, layer).double().state_dict().items()}
    ours = module is train
    net = network(nn if ours else torch.nn, layer).double()
    mg.manual_seed(5)
    if not ours:
        weights = {key: torch.tensor(value) for key, value in weights.items()}
    net.load_state_dict(weights)
    if start:
        (checkpoint if ours else torch_impl.checkpoint).restore(start, model=net)
    losses = []
    side = mg if ours else torch
    module.fit(net, data(), mg.functional.cross_entropy if ours
               else torch.nn.functional.cross_entropy,
               side.optim.SGD(net.parameters(), lr=0.1) if not ours
               else optim.SGD(net.parameters(), lr=0.1), epochs=epochs,
               start_epoch=0 if start is None else 2,
               on_epoch=lambda epoch, loss, seconds: losses.append(loss), **options)
    if path:
        (checkpoint if ours else torch_impl.checkpoint).save(path, model=net)
    return losses, {key: np.array(value.detach().numpy())
                    for key, value in net.state_dict().items()}


def equal(a, b, tolerance=1e-12):
    np.testing.assert_allclose(a[0], b[0], rtol=tolerance)
    for key in a[1]:
        np.testing.assert_allclose(a[1][key], b[1][key], atol=tolerance, err_msg=key)


@pytest.mark.parametrize("layer", ["Dropout", *CHANNELS])
def test_both_sides_drop_the_same(layer):
    equal(trained(train, layer), trained(torch_train, layer))


def test_also_in_parts():
    equal(trained(train, accumulate=3), trained(torch_train, accumulate=3))


# torch hides this warning of its own, unless warnings are errors
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_also_compiled(monkeypatch):
    # the usual backend would compile C++, which takes much longer
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    equal(trained(train), trained(torch_train, compile=True))


@pytest.mark.parametrize("size", [2, 3])
def test_several_processes_share_the_masks_of_one(size):
    alone = trained(torch_train)
    first, *others = together(size, lambda: trained(torch_train))
    equal(alone, first)
    for other in others:
        equal(([], first[1]), ([], other[1]))


@pytest.mark.parametrize("begun", [train, torch_train])
@pytest.mark.parametrize("ended", [train, torch_train])
def test_a_training_goes_on_with_the_same_masks_on_either_side(begun, ended, tmp_path):
    whole = trained(train)
    first, _ = trained(begun, epochs=2, path=tmp_path / "begun")
    rest, weights = trained(ended, start=tmp_path / "begun")
    equal(whole, (first + rest, weights))


def test_a_mask_is_that_of_the_index_wherever_a_value_lies_in_memory():
    words = mg.random.default_generator.words(2)
    x = mg.randn(6, 4, 3, 2)
    apart = mg.tensor(np.ascontiguousarray(x.numpy().transpose(1, 2, 3, 0))).permute(3, 0, 1, 2)
    channels_last = mg.tensor(np.ascontiguousarray(x.numpy().transpose(0, 2, 3, 1))
                              ).permute(0, 3, 1, 2)
    dropped = mg.ops.activation.dropped
    expected = dropped(x, p=0.4, words=words).numpy()
    for other in (apart, channels_last):
        assert (dropped(other, p=0.4, words=words).numpy() == expected).all()


def test_outside_of_training_and_at_its_ends_dropout_is_torchs_own():
    x = torch.ones(4, 5)
    with torch_impl.dropout.SameMasks(workers.Workers(torch.device("cpu"))):
        assert torch.nn.functional.dropout(x, 0.5, training=False) is x
        assert (torch.nn.functional.dropout(x, 0.0) == 1).all()
        assert (torch.nn.functional.dropout(x, 1.0) == 0).all()
        assert set(torch.nn.functional.dropout(x.bfloat16(), 0.5).unique().tolist()) == {0.0, 2.0}
        with pytest.raises(ValueError, match="dropout probability has to be between 0 and 1"):
            torch.nn.functional.dropout(x, 1.5)


def test_a_share_without_a_dim_of_examples_keeps_its_own_numbers():
    alone = workers.Workers(torch.device("cpu"))
    alone.own = range(1, 7, 3)
    assert alone.rows(2) == [1, 4]
    assert alone.rows(6) == [3, 4, 5, 12, 13, 14]
    assert alone.rows(5) == [0, 1, 2, 3, 4]
