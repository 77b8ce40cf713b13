"""Training in several processes: the same weights as in one, whatever the network has."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from processes import together

import torch_impl.train
import torch_impl.workers
from minigrad.data import ArrayDataset, DataLoader
from torch_impl import train

CLASS_WEIGHT = np.array([0.3, 1.0, 2.5])


class Net(torch.nn.Module):
    """Batch norm of images and of vectors, with and without parameters, and a layer that is not
    used at all.

    A bias before batch norm would have gradients of 0 but for rounding, which Adam scales up.
    """

    def __init__(self):
        super().__init__()
        self.features = torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3, bias=False), torch.nn.BatchNorm2d(4), torch.nn.ReLU(),
            torch.nn.Conv2d(4, 4, 3, bias=False),
            torch.nn.BatchNorm2d(4, affine=False, momentum=None))
        self.classifier = torch.nn.Linear(4, 3)
        self.unused = torch.nn.Linear(2, 2)

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


def training(dtype, optimizer="SGD", **options):
    """Train; return the losses, and the weights of the network and of its average."""
    torch.manual_seed(7 + torch_impl.workers.rank())        # all the same, the processes must agree
    model = Net().to(dtype)
    if torch_impl.workers.rank() == 0:
        torch.manual_seed(7)
        model.load_state_dict(Net().to(dtype).state_dict())
    rng = np.random.default_rng(0)
    x = rng.standard_normal((31, 1, 6, 6)).astype(str(dtype).removeprefix("torch."))
    y = rng.integers(0, 3, 31)                              # batches of 10, and one of 1
    swa = torch.optim.swa_utils
    averaged = swa.AveragedModel(model, multi_avg_fn=swa.get_ema_multi_avg_fn(0.9),
                                 use_buffers=True)
    losses = []
    weight = torch.tensor(CLASS_WEIGHT, dtype=dtype)
    train.fit(model, DataLoader(ArrayDataset(x, y), 10, shuffle=True, seed=2),
              lambda logits, target: torch.nn.functional.cross_entropy(
                  logits, target, weight, label_smoothing=0.1),
              getattr(torch.optim, optimizer)(model.parameters(), lr=0.01), epochs=3,
              averaged=averaged, on_epoch=lambda epoch, loss, seconds: losses.append(loss),
              weigh=lambda target: float(CLASS_WEIGHT[target].sum()), **options)
    return losses, *({key: value.numpy().copy() for key, value in each.state_dict().items()}
                     for each in (model, averaged))


@pytest.mark.parametrize(("size", "dtype", "bound", "options"), [
    (2, torch.float64, 1e-12, {"clip_norm": 0.5, "optimizer": "Adam"}),
    (3, torch.float64, 1e-12, {"accumulate": 3}),
    (2, torch.float32, 1e-6, {}),
    (3, torch.float32, 1e-6, {"clip_norm": 0.5, "accumulate": 2}),
])
def test_several_processes_train_as_one(size, dtype, bound, options):
    losses, *expected = training(dtype, **options)
    assert len(losses) == 3
    for rank, (told, *found) in enumerate(together(size, lambda: training(dtype, **options))):
        if rank == 0:
            np.testing.assert_allclose(told, losses, rtol=bound)
        else:
            assert told == []                               # only the first process tells
        for ours, theirs in zip(found, expected, strict=True):
            for key, value in theirs.items():
                np.testing.assert_allclose(ours[key], value, rtol=0, atol=bound, err_msg=key)


def test_batch_norm_of_all_processes_is_that_of_the_whole_batch():
    """Against torch.nn.functional.batch_norm on the whole batch, divided unevenly, in a process
    without items of its own, too."""
    rng = np.random.default_rng(1)
    x, g = rng.standard_normal((2, 4, 3, 5)) + 2
    weight, bias = rng.standard_normal((2, 3))

    def whole():
        args = [torch.tensor(v, requires_grad=True) for v in (x, weight, bias)]
        mean, var = torch.zeros(3).double(), torch.ones(3).double()
        y = torch.nn.functional.batch_norm(args[0], mean, var, *args[1:], True, 0.3)
        return y, torch.autograd.grad(y, args, torch.tensor(g)), mean, var

    def shared():
        rank = torch_impl.workers.rank()
        rows = [slice(0, 1), slice(1, 4), slice(0, 1)][rank]
        workers = torch_impl.workers.Workers(torch.device("cpu"))
        workers.idle, workers.examples = rank == 2, 4 / len(x[rows])
        args = [torch.tensor(v, requires_grad=True) for v in (x[rows], weight, bias)]
        mean, var = torch.zeros(3).double(), torch.ones(3).double()
        with workers.together():
            y = torch.nn.functional.batch_norm(args[0], mean, var, *args[1:], True, 0.3)
            # in evaluation, it has nothing to do with the other processes
            assert torch.nn.functional.batch_norm(args[0], mean, var, *args[1:]).shape == y.shape
        grads = torch.autograd.grad(y, args, torch.tensor(g[rows]) * (rank < 2))
        return [v.detach().numpy() for v in (y, *grads, mean, var)]

    y, grads, mean, var = whole()
    first, second, idle = together(3, shared)
    for found, rows in ((first, slice(0, 1)), (second, slice(1, 4))):
        np.testing.assert_allclose(found[0], y.detach().numpy()[rows], atol=1e-13)
        np.testing.assert_allclose(found[1], grads[0].numpy()[rows], atol=1e-13)
    for k in (1, 2):
        np.testing.assert_allclose(first[k + 1] + second[k + 1] + idle[k + 1], grads[k].numpy(),
                                   atol=1e-13)
    assert not idle[2].any()
    for found in (first, second, idle):
        np.testing.assert_allclose(found[4], mean.numpy(), atol=1e-14)
        np.testing.assert_allclose(found[5], var.numpy(), atol=1e-14)


def test_each_process_draws_numbers_of_its_own_which_a_restart_repeats():
    def drawn():
        workers = torch_impl.workers.Workers(torch.device("cpu"))
        numbers = []
        for epoch in (0, 1):
            for _ in workers.epoch([()], epoch):
                numbers.append(torch.rand(1).item())
        return numbers
    torch.manual_seed(3)
    first, second, third = together(3, drawn)
    assert len({*first, *second, *third}) == 6
    again = together(3, drawn)
    assert again[1:] == [second, third]
    assert first == drawn()


def test_what_one_process_lacks_is_known_to_all():
    workers = torch_impl.workers
    assert together(2, lambda: workers.gathered(workers.rank())) == [[0, 1]] * 2
    assert torch_impl.workers.gathered("alone") == ["alone"]
