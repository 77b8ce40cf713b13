"""Gradient accumulation and clipping in `fit`, on both sides, against a loop of plain torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import minigrad as mg
import minigrad.functional
import minigrad.train
import torch_impl.models
import torch_impl.train
from minigrad import nn, optim
from minigrad.data import ArrayDataset, DataLoader
from minigrad.data.micro import micro_batches

WEIGHT = np.array([0.2, 1.0, 3.0])
SIDES = ("minigrad", "torch")


def weighted(side):
    """Cross-entropy in which the classes have weights; `weigh` has to know them."""
    package = minigrad.functional if side == "minigrad" else torch.nn.functional
    weight = mg.tensor(WEIGHT) if side == "minigrad" else torch.tensor(WEIGHT)
    return lambda logits, target: package.cross_entropy(logits, target, weight,
                                                        label_smoothing=0.1)


def by_weight(target):
    return float(WEIGHT[target].sum())


def trained(side, **options):
    """The weights, in float64, and the losses, after three epochs of batches of 10, 10 and 9."""
    layers, optimisers, fit = {
        "minigrad": (nn, optim, minigrad.train.fit),
        "torch": (torch.nn, torch.optim, torch_impl.train.fit)}[side]
    mg.manual_seed(4)
    torch.manual_seed(4)
    model = layers.Sequential(layers.Linear(6, 8), layers.Tanh(), layers.Linear(8, 3)).double()
    rng = np.random.default_rng(0)
    arrays = ArrayDataset(rng.standard_normal((29, 6)), rng.integers(0, 3, 29))
    losses = []
    fit(model, DataLoader(arrays, 10, shuffle=True), options.pop("loss", weighted(side)),
        optimisers.SGD(model.parameters(), lr=0.3, momentum=0.9), epochs=3,
        on_epoch=lambda epoch, loss, seconds: losses.append(loss), **options)
    return [*(p.detach().numpy() for p in model.parameters()), np.array(losses)]


def written_out(clip_norm):
    """The same training as a loop in plain torch, over whole batches."""
    torch.manual_seed(4)
    model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    model.double()
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((29, 6)), rng.integers(0, 3, 29)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9)
    losses = []
    for epoch in range(3):
        order = np.arange(29)
        np.random.default_rng((0, epoch)).shuffle(order)
        total = 0.0
        for rows in (order[:10], order[10:20], order[20:]):
            optimizer.zero_grad()
            loss = weighted("torch")(model(torch.tensor(x[rows])), torch.tensor(y[rows]))
            loss.backward()
            if clip_norm:
                torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
            optimizer.step()
            total += loss.item() * len(rows)
        losses.append(total / 29)
    return [*(p.detach().numpy() for p in model.parameters()), np.array(losses)]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("clip_norm", [None, 0.1, 1e6])
@pytest.mark.parametrize("accumulate", [1, 3, 7, 100])
def test_micro_batches_are_one_batch(side, clip_norm, accumulate):
    found = trained(side, clip_norm=clip_norm, accumulate=accumulate, weigh=by_weight)
    for ours, expected in zip(found, written_out(clip_norm), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-14 * max(1, abs(expected).max()))


def test_clipping_changes_the_training():
    assert np.abs(written_out(0.1)[0] - written_out(None)[0]).max() > 0.01


@pytest.mark.parametrize("side", SIDES)
def test_a_loss_that_is_no_mean_is_refused(side):
    with pytest.raises(ValueError, match=r"fit: the loss of 5 items .*weighted as `weigh`"):
        trained(side, accumulate=2)                 # its weights are not told
    package = minigrad.functional if side == "minigrad" else torch.nn.functional
    with pytest.raises(ValueError, match="can be divided only if its loss is a mean"):
        trained(side, accumulate=2,
                loss=lambda logits, y: package.cross_entropy(logits, y, reduction="sum"))
    with pytest.raises(ValueError, match="fit: accumulate must be at least 1; got 0"):
        trained(side, accumulate=0)
    trained(side)                                   # whole batches: any loss will do


def test_micro_batches_are_as_equal_as_possible_and_never_empty():
    batch = np.arange(20).reshape(10, 2), np.arange(10)
    for count, sizes in ((1, [10]), (3, [3, 3, 4]), (10, [1] * 10), (99, [1] * 10)):
        parts = list(micro_batches(batch, count))
        assert [len(y) for (_, y), _ in parts] == sizes
        assert [share for _, share in parts] == pytest.approx([n / 10 for n in sizes])
        np.testing.assert_array_equal(np.concatenate([x for (x, _), _ in parts]), batch[0])
    ignored = [share for _, share in micro_batches(batch, 2, lambda target: 0.0)]
    assert ignored == [0.0, 0.0]                    # no item counts
