"""Training: both implementations take the same steps, alone and in several processes."""

import ast
import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.optim.swa_utils import AveragedModel

import minigrad as mg
import minigrad.models
import minigrad.train
import torch_impl.checkpoint
import torch_impl.models
import torch_impl.train
from minigrad import nn, optim
from minigrad.data import ArrayDataset, DataLoader

ROOT = Path(minigrad.train.__file__).parents[1]

# name: (constructor, its arguments, an example's shape, classes or None for a number, batch)
MODELS = {
    "regression": ("LinearRegression", (3, 1), (3,), None, 8),
    "logistic": ("LogisticRegression", (8,), (8,), 2, 8),
    "mlp": ("MLP", ((64, 50, 10),), (8, 8), 10, 16),
    "cnn": ("CNN", (), (1, 28, 28), 10, 4),
    "dexpression": ("DeXpression", (7, 48), (1, 48, 48), 7, 4),
    "compact": ("DeXpression", (7, 48, "compact"), (1, 48, 48), 7, 4),
}
STEPS = 30


def data(name, n, seed=0):
    _, _, shape, classes, _ = MODELS[name]
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, *shape))
    if classes is None:
        return x, rng.standard_normal((n, 1))
    y = rng.integers(0, classes, n)
    return x, y.astype(np.float64) if classes == 2 else y


def loss_of(layers, name):
    return {None: layers.MSELoss, 2: layers.BCEWithLogitsLoss}.get(
        MODELS[name][3], layers.CrossEntropyLoss)()


def sides(name):
    """(model, loss, package of optimisers, fit, predict) of both, with equal weights in float64."""
    constructor, args, *_ = MODELS[name]
    mg.manual_seed(7)
    ours = getattr(minigrad.models, constructor)(*args).double()
    theirs = getattr(torch_impl.models, constructor)(*args).double()
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    return ((ours, loss_of(nn, name), optim, minigrad.train.fit, minigrad.train.predict),
            (theirs, loss_of(torch.nn, name), torch.optim, torch_impl.train.fit,
             torch_impl.train.predict))


def assert_close(ours, theirs, tolerance):
    """Each tensor within tolerance of the largest of its values."""
    state = theirs.state_dict()
    for key, value in ours.state_dict().items():
        expected = state[key].numpy()
        limit = tolerance * max(np.abs(expected).max(), 1e-30)
        np.testing.assert_allclose(value.numpy(), expected, rtol=0, atol=limit, err_msg=key)


@pytest.mark.parametrize("name", MODELS)
def test_thirty_steps_are_torchs(name):
    batch = MODELS[name][4]
    arrays = data(name, 10 * batch)
    outputs, losses = [], []
    for model, loss_fn, package, fit, predict in sides(name):
        loader = DataLoader(ArrayDataset(*arrays), batch, shuffle=True, seed=3)
        optimizer = package.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
        scheduler = package.lr_scheduler.OneCycleLR(optimizer, 0.02, STEPS)
        swa, log = package.swa_utils, []
        averaged = swa.AveragedModel(model, multi_avg_fn=swa.get_ema_multi_avg_fn(0.9))
        fit(model, loader, loss_fn, optimizer, epochs=3, scheduler=scheduler, averaged=averaged,
            on_epoch=lambda epoch, loss, seconds, log=log: log.append((epoch, loss)))
        losses.append(log)
        outputs.append([(each, predict(each, arrays[0][:batch + 1], batch_size=batch))
                        for each in (model, averaged)])
    for (ours, a), (theirs, b) in zip(*outputs, strict=True):
        assert_close(ours, theirs, 1e-9)
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-9 * np.abs(b).max())
    assert ours.n_averaged.item() == STEPS
    assert [epoch for epoch, _ in losses[0]] == [0, 1, 2]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-9)
    assert any(np.abs(p.grad.numpy()).max() > 0 for p in outputs[0][0][0].parameters())


def test_thirty_steps_of_adam_are_torchs():
    arrays = data("mlp", 30 * 16)
    models = []
    for model, loss_fn, package, fit, _ in sides("mlp"):
        loader = DataLoader(ArrayDataset(*arrays), 16, shuffle=True, seed=3)
        fit(model, loader, loss_fn, package.Adam(model.parameters()), epochs=1)
        models.append(model)
    assert_close(*models, 1e-9)


def test_an_equal_average_with_its_buffers_is_torchs():
    arrays, averages = data("compact", 4 * STEPS), []
    for model, loss_fn, package, fit, _ in sides("compact"):
        averages.append(package.swa_utils.AveragedModel(model, use_buffers=True))
        fit(model, DataLoader(ArrayDataset(*arrays), 4), loss_fn,
            package.SGD(model.parameters(), lr=0.001), epochs=1, averaged=averages[-1])
    assert averages[0].n_averaged.item() == STEPS
    assert_close(*averages, 1e-9)


def test_fit_starts_where_it_is_told_and_sets_modes():
    seen = []

    class Loader:
        def set_epoch(self, epoch):
            seen.append(epoch)

        def __iter__(self):
            yield np.ones((3, 2), np.float32), np.ones((3, 1), np.float32)
            yield np.ones((1, 2), np.float32), np.zeros((1, 1), np.float32)
    for layers, package, fit in ((nn, optim, minigrad.train.fit),
                                 (torch.nn, torch.optim, torch_impl.train.fit)):
        seen.clear()
        model = layers.Linear(2, 1).eval()
        expected = model(mg.ones(1, 2) if layers is nn else torch.ones(1, 2)).item()
        log = []
        fit(model, Loader(), layers.MSELoss(), package.SGD(model.parameters(), lr=0.0), epochs=5,
            start_epoch=3, on_epoch=lambda *args, log=log: log.append(args))
        assert seen == [3, 4]
        assert model.training
        assert [epoch for epoch, *_ in log] == [3, 4]
        mean = (3 * (expected - 1)**2 + expected**2) / 4        # of an example, not of a batch
        assert log[0][1] == pytest.approx(mean, rel=1e-6)
        assert 0 <= log[0][2] < 60


def test_predict_leaves_the_model_as_it_was():
    x = np.random.default_rng(0).standard_normal((10, 4)).astype(np.float32)
    for layers, predict in ((nn, minigrad.train.predict), (torch.nn, torch_impl.train.predict)):
        model = layers.Sequential(layers.Linear(4, 3), layers.BatchNorm1d(3), layers.Dropout(0.5))
        before = {k: v.numpy().copy() for k, v in model.state_dict().items()}
        whole = predict(model, x)
        assert whole.shape == (10, 3)
        np.testing.assert_allclose(predict(model, x, batch_size=3), whole, rtol=1e-6, atol=1e-6)
        assert predict(model, x[:0]).shape == (0, 3)
        assert model.training
        predict(model.eval(), x)
        assert not model.training
        for key, value in model.state_dict().items():
            np.testing.assert_array_equal(value.numpy(), before[key])
        with pytest.raises((RuntimeError, ValueError)):
            predict(model.train(), x[:, :2])
        assert model.training


def test_the_loops_are_twins():
    """The calls that are statements of their own are the same, in the same order."""
    def loop(module):
        tree = ast.parse(inspect.getsource(module.fit))
        return [ast.unparse(node) for node in ast.walk(tree)
                if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]
    assert loop(minigrad.train) == loop(torch_impl.train)


# ---- what only torch has -------------------------------------------------------------------------

def test_pick_device():
    auto = torch_impl.train.pick_device()
    assert auto.type in ("cpu", "cuda", "mps")
    assert torch_impl.train.pick_device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match="must be auto, cpu, cuda or mps; got 'tpu'"):
        torch_impl.train.pick_device("tpu")


def test_a_device_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert torch_impl.train.pick_device("auto").type == "cpu"
    for name in ("cuda", "mps"):
        refusal = f"{name} is not available on this machine; available: cpu"
        with pytest.raises(ValueError, match=refusal):
            torch_impl.train.pick_device(name)


def test_the_best_device_is_picked(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert torch_impl.train.pick_device().type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert torch_impl.train.pick_device() == torch.device("cuda", 1)


def fit_torch(**options):
    torch.manual_seed(0)
    model = torch_impl.models.MLP((64, 50, 10))
    arrays = [array.astype(np.float32) if array.dtype == np.float64 else array
              for array in data("mlp", 64)]
    log, averaged = [], AveragedModel(model)
    torch_impl.train.fit(model, DataLoader(ArrayDataset(*arrays), 16), torch.nn.CrossEntropyLoss(),
                         torch.optim.SGD(model.parameters(), lr=0.1), epochs=3, averaged=averaged,
                         on_epoch=lambda *args: log.append(args), **options)
    return model, averaged, [loss for _, loss, _ in log]


def test_mixed_precision_learns_the_same():
    model, _, losses = fit_torch(amp=True)
    exact, _, expected = fit_torch()
    assert all(p.dtype == torch.float32 for p in model.parameters())
    np.testing.assert_allclose(losses, expected, rtol=0.02)         # bfloat16 has 8 bits
    assert any((p != q).any() for p, q in zip(model.parameters(), exact.parameters(), strict=True))


def test_compiled_training_learns_the_same():
    *models, losses = fit_torch(compile=True)
    *exact, expected = fit_torch()
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    for ours, theirs in zip(models, exact, strict=True):            # the model and its average
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=1e-4, atol=1e-5)
