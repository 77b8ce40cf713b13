"""Checkpoints: all comes back to the bit, damage is noticed, a kill leaves the old file."""

import math
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch

import minigrad as mg
import minigrad.train
import torch_impl.checkpoint
import torch_impl.train
from minigrad import checkpoint, nn, optim
from minigrad.checkpoint import CheckpointError

CONFIG = {"task": "test", "lr": 0.1, "sizes": [3, 4], "nested": {"name": "ü"}, "none": None}


class Net(nn.Module):
    """Something of everything: a buffer, an integer buffer, dropout, a scalar parameter."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3),
                                    nn.Linear(8, 3))
        self.scale = nn.Parameter(np.float32(1.5))

    def forward(self, x):
        return self.layers(x) * self.scale


class TorchNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(6, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Dropout(0.3),
            torch.nn.Linear(8, 3))
        self.scale = torch.nn.Parameter(torch.tensor(1.5))

    def forward(self, x):
        return self.layers(x) * self.scale


class Loader:
    """Batches of random numbers, in an order that depends on the epoch alone."""

    def __init__(self, n=24, size=7):
        rng = np.random.default_rng(0)
        self.x = rng.standard_normal((n, 6)).astype(np.float32)
        self.y = rng.integers(0, 3, n)
        self.size = size

    def set_epoch(self, epoch):
        self.order = np.random.default_rng(epoch).permutation(len(self.x))

    def __iter__(self):
        for i in range(0, len(self.x), self.size):
            batch = self.order[i:i + self.size]
            yield self.x[batch], self.y[batch]


def parts(net=Net, package=optim, name="Adam", schedule="OneCycleLR"):
    """A model, its optimiser and a scheduler."""
    mg.manual_seed(1)
    torch.manual_seed(1)
    model = net()
    options = {"Adam": {"amsgrad": True}, "SGD": {"momentum": 0.9}, "RMSprop": {}}[name]
    optimizer = getattr(package, name)(
        [{"params": list(model.layers.parameters())}, {"params": [model.scale], "lr": 0.02}],
        lr=0.01, **options)
    scheduler = {"OneCycleLR": lambda s: s.OneCycleLR(optimizer, [0.05, 0.1], 100),
                 "StepLR": lambda s: s.StepLR(optimizer, 3),
                 "CosineAnnealingLR": lambda s: s.CosineAnnealingLR(optimizer, 50),
                 "LambdaLR": lambda s: s.LambdaLR(optimizer, lambda t: 0.9**t),
                 None: lambda s: None}[schedule](package.lr_scheduler)
    return model, optimizer, scheduler


OURS = (Net, optim, minigrad.train.fit, nn, checkpoint)
THEIRS = (TorchNet, torch.optim, torch_impl.train.fit, torch.nn, torch_impl.checkpoint)


def flat(state):
    """Everything in nested state, arrays as bytes: for comparison to the bit."""
    if isinstance(state, dict):
        return {key: flat(value) for key, value in state.items()}
    if isinstance(state, mg.Tensor | torch.Tensor):
        state = state.numpy()
    if isinstance(state, np.ndarray):
        return state.dtype.str, state.shape, state.tobytes()
    return state


SCHEDULES = ["OneCycleLR", "StepLR", "CosineAnnealingLR", "LambdaLR", None]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop"])
@pytest.mark.parametrize("side", [OURS, THEIRS], ids=["minigrad", "torch"])
def test_a_resumed_run_is_bit_identical(tmp_path, side, name, schedule):
    net, package, fit, layers, files = side
    path = tmp_path / "run" / "last.safetensors"

    def run(epochs, start_epoch=0, resume=False):
        model, optimizer, scheduler = parts(net, package, name, schedule)
        losses = []

        def on_epoch(epoch, loss, seconds):
            losses.append(loss)
            files.save(path, model=model, optimizer=optimizer, scheduler=scheduler,
                       epoch=epoch + 1, step=4 * (epoch + 1), config=CONFIG)
        if resume:
            found = files.restore(path, model=model, optimizer=optimizer, scheduler=scheduler)
            assert (found.epoch, found.step, found.config) == (3, 12, CONFIG)
            start_epoch = found.epoch
        fit(model, Loader(), layers.CrossEntropyLoss(), optimizer, epochs=epochs,
            scheduler=scheduler, start_epoch=start_epoch, on_epoch=on_epoch)
        state = (flat(dict(model.state_dict())), flat(optimizer.state_dict()),
                 scheduler and {k: v for k, v in scheduler.state_dict().items()
                                if k not in ("_step_count", "_is_initial")})
        return state, losses

    whole, losses = run(5)
    run(3)
    resumed, later = run(5, resume=True)
    assert resumed == whole
    assert later == losses[3:]


def average(package, model):
    swa = package.swa_utils
    return swa.AveragedModel(model, multi_avg_fn=swa.get_ema_multi_avg_fn(0.8), use_buffers=True)


@pytest.mark.parametrize("side", [OURS, THEIRS], ids=["minigrad", "torch"])
def test_a_resumed_average_is_bit_identical(tmp_path, side):
    net, package, fit, layers, files = side
    path = tmp_path / "last.safetensors"

    def run(epochs, resume=False):
        model, optimizer, scheduler = parts(net, package)
        averaged = average(package, model)
        states = {"model": model, "optimizer": optimizer, "scheduler": scheduler,
                  "averaged": averaged}
        start = files.restore(path, **states).epoch if resume else 0
        fit(model, Loader(), layers.CrossEntropyLoss(), optimizer, epochs=epochs, averaged=averaged,
            scheduler=scheduler, start_epoch=start,
            on_epoch=lambda epoch, *_: files.save(path, **states, epoch=epoch + 1))
        return flat(dict(averaged.state_dict())), flat(dict(model.state_dict()))

    whole = run(5)
    run(3)
    resumed = run(5, resume=True)
    assert resumed == whole
    weights = flat(checkpoint.load(path).weights)
    assert weights == {k.removeprefix("module."): v for k, v in whole[0].items()
                       if k != "n_averaged"}
    assert weights != whole[1]


@pytest.mark.parametrize(("writer", "reader"), [(OURS, THEIRS), (THEIRS, OURS)],
                         ids=["to torch", "from torch"])
def test_the_other_framework_reads_an_average(tmp_path, writer, reader):
    path = tmp_path / "x.safetensors"
    net, package, fit, layers, files = writer
    model, optimizer, _ = parts(net, package, schedule=None)
    averaged = average(package, model)
    fit(model, Loader(), layers.CrossEntropyLoss(), optimizer, epochs=2, averaged=averaged)
    files.save(path, model=model, averaged=averaged)

    net, package, _, _, files = reader
    other = net()
    averages = average(package, other)
    files.restore(path, model=other, averaged=averages)
    assert flat(dict(averages.state_dict())) == flat(dict(averaged.state_dict()))


def test_weights_without_an_average_are_the_models(tmp_path):
    model, _, _ = parts()
    checkpoint.save(tmp_path / "x", model=model)
    assert flat(checkpoint.load(tmp_path / "x").weights) == flat(model.state_dict())
    with pytest.raises(CheckpointError, match="holds no averaged state"):
        checkpoint.restore(tmp_path / "x", averaged=average(optim, model))


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop"])
@pytest.mark.parametrize("schedule", ["OneCycleLR", "StepLR", "LambdaLR"])
@pytest.mark.parametrize(("writer", "reader"), [(OURS, THEIRS), (THEIRS, OURS)],
                         ids=["to torch", "from torch"])
def test_the_other_framework_reads_it(tmp_path, writer, reader, name, schedule):
    path = tmp_path / "x.safetensors"
    net, package, fit, layers, files = writer
    model, optimizer, scheduler = parts(net, package, name, schedule)
    fit(model, Loader(), layers.CrossEntropyLoss(), optimizer, epochs=2, scheduler=scheduler)
    files.save(path, model=model, optimizer=optimizer, scheduler=scheduler, epoch=2)

    net, package, _, _, files = reader
    other, other_optimizer, other_scheduler = parts(net, package, name, schedule)
    files.restore(path, model=other, optimizer=other_optimizer, scheduler=other_scheduler)
    assert flat(dict(other.state_dict())) == flat(dict(model.state_dict()))
    mine, given = flat(other_optimizer.state_dict()), flat(optimizer.state_dict())
    assert mine["state"] == given["state"]
    for group, other_group in zip(mine["param_groups"], given["param_groups"], strict=True):
        assert all(group[key] == other_group[key] for key in group.keys() & other_group.keys())
    assert scheduler.get_last_lr() == other_scheduler.get_last_lr()


def test_a_plateau_scheduler_and_its_infinity(tmp_path):
    path = tmp_path / "x.safetensors"
    model = nn.Linear(2, 2)
    optimizer = optim.SGD(model.parameters())
    scheduler = optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    checkpoint.save(path, model=model, scheduler=scheduler)
    assert checkpoint.load(path).scheduler["best"] == math.inf
    checkpoint.restore(path, scheduler=scheduler)
    assert scheduler.best == math.inf


def test_names_and_betas_come_back_as_they_were(tmp_path):
    path = tmp_path / "x.safetensors"
    model = nn.Linear(2, 2)
    optimizer = optim.Adam(model.named_parameters(), betas=(0.5, 0.6))
    checkpoint.save(path, model=model, optimizer=optimizer)
    other = optim.Adam(model.named_parameters())
    checkpoint.restore(path, optimizer=other)
    assert other.state_dict() == optimizer.state_dict()


def test_arrays_come_back_whatever_their_layout(tmp_path):
    """safetensors by itself writes a transposed array wrongly, and says nothing."""
    path = tmp_path / "x.safetensors"
    model = nn.Module()
    rng = np.random.default_rng(0)
    wide = rng.standard_normal((6, 8))
    arrays = {"transposed": wide.T, "strided": wide[::2, ::3], "reversed": wide[::-1],
              "scalar": np.array(2.5), "empty": np.zeros((0, 3)),
              "fortran": np.asfortranarray(wide), "integers": np.arange(5),
              "flags": np.array([True, False])}
    for name, array in arrays.items():
        model.register_buffer(name, mg.Tensor(array))
    checkpoint.save(path, model=model)
    loaded = checkpoint.load(path).model
    assert list(loaded) == sorted(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], array)
        assert (loaded[name].dtype, loaded[name].shape) == (array.dtype, array.shape)


def test_the_random_state_is_restored(tmp_path):
    path = tmp_path / "x.safetensors"
    model = nn.Linear(1, 1)
    mg.manual_seed(9)
    mg.rand(7)
    checkpoint.save(path, model=model)
    expected = mg.rand(5).numpy()
    mg.manual_seed(1)
    checkpoint.restore(path, model=model)
    np.testing.assert_array_equal(mg.rand(5).numpy(), expected)


# ---- damage --------------------------------------------------------------------------------------

@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "small.safetensors"
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.parameters(), momentum=0.9)
    model(mg.ones(1, 2)).sum().backward()
    optimizer.step()
    checkpoint.save(path, model=model, optimizer=optimizer, epoch=3, config={"a": 1})
    return path


def message(path):
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"{path}: ")
    return text


def test_every_flipped_bit_is_noticed(saved):
    data = bytearray(saved.read_bytes())
    rng = np.random.default_rng(0)
    for i in range(len(data)):
        bit = 1 << int(rng.integers(8))
        data[i] ^= bit
        saved.write_bytes(data)
        assert message(saved)
        data[i] ^= bit
    saved.write_bytes(data)
    assert checkpoint.load(saved).epoch == 3


def test_every_truncation_is_noticed(saved):
    data = saved.read_bytes()
    for n in [*range(0, len(data), 41), len(data) - 1]:
        saved.write_bytes(data[:n])
        assert message(saved)
    saved.write_bytes(data + b"\0")
    assert message(saved)


def test_files_that_are_no_checkpoints(saved, tmp_path):
    assert "no such file" in message(tmp_path / "missing.safetensors")
    assert "cannot be read" in message(tmp_path)
    other = tmp_path / "other"
    other.write_text("epoch,loss\n1,0.5\n" * 20)
    assert "not a safetensors file" in message(other)
    torch.save({"a": torch.ones(2)}, other)
    assert "not a safetensors file" in message(other)
    safetensors.numpy.save_file({"w": np.ones(3)}, other)
    assert "not a checkpoint of minigrad" in message(other)


def test_a_newer_format_is_refused(saved, monkeypatch):
    monkeypatch.setattr(checkpoint, "FORMAT", 2)
    assert "format 1, this version reads 2" in message(saved)


def test_what_does_not_fit_is_one_line(saved):
    for target, pattern in [
            ({"model": nn.Linear(3, 1)}, "does not fit this model: .*size mismatch for weight"),
            ({"model": nn.Conv2d(1, 1, 1)}, "does not fit this model"),
            ({"model": nn.Sequential(nn.Linear(2, 1))}, 'Missing key.*"0.weight"'),
            ({"optimizer": optim.SGD(nn.Linear(2, 1, bias=False).parameters())},
             "does not fit this optimizer"),
            ({"scheduler": optim.lr_scheduler.StepLR(optim.SGD(nn.Linear(1, 1).parameters()), 3)},
             "holds no scheduler state")]:
        with pytest.raises(CheckpointError, match=pattern) as caught:
            checkpoint.restore(saved, **target)
        assert "\n" not in str(caught.value)
        assert str(saved) in str(caught.value)
    with pytest.raises(CheckpointError, match="does not fit this model"):
        torch_impl.checkpoint.restore(saved, model=torch.nn.Linear(3, 1))


@pytest.mark.parametrize("side", [OURS, THEIRS], ids=["minigrad", "torch"])
@pytest.mark.parametrize("fault", ["optimizer", "scheduler", "model"])
def test_a_restore_that_fails_changes_nothing(tmp_path, side, fault):
    net, package, fit, layers, files = side
    path = tmp_path / "x.safetensors"
    model, optimizer, scheduler = parts(net, package)
    fit(model, Loader(), layers.CrossEntropyLoss(), optimizer, epochs=2, scheduler=scheduler)
    files.save(path, model=model, optimizer=optimizer,
               scheduler=None if fault == "scheduler" else scheduler)
    targets = dict(zip(("model", "optimizer", "scheduler"), parts(net, package), strict=True))
    fit(targets["model"], Loader(), layers.CrossEntropyLoss(), targets["optimizer"], epochs=1)
    if fault == "optimizer":
        targets["optimizer"].add_param_group(
            {"params": [layers.Parameter(targets["model"].scale.detach())]})
    elif fault == "model":
        targets["model"] = layers.Linear(2, 3)
    mg.rand(3), torch.rand(3)

    def everything():
        return ([flat(dict(target.state_dict())) for target in targets.values()],
                flat(mg.random.default_generator.get_state()), flat(torch.get_rng_state()))
    before = everything()
    with pytest.raises(CheckpointError, match=fault):
        files.restore(path, **targets)
    assert everything() == before


@pytest.mark.parametrize(("writer", "reader"), [("Adam", "SGD"), ("Adam", "RMSprop"),
                                                ("SGD", "Adam"), ("RMSprop", "SGD")])
def test_the_state_of_another_optimiser_is_refused(tmp_path, writer, reader):
    path = tmp_path / "x.safetensors"
    model, optimizer, _ = parts(name=writer, schedule=None)
    minigrad.train.fit(model, Loader(), nn.CrossEntropyLoss(), optimizer, epochs=1)
    checkpoint.save(path, model=model, optimizer=optimizer)
    other, other_optimizer, _ = parts(name=reader, schedule=None)
    before = flat(other.state_dict()), flat(other_optimizer.state_dict())
    with pytest.raises(CheckpointError, match=f"{reader}: the loaded state is of another kind"):
        checkpoint.restore(path, model=other, optimizer=other_optimizer)
    assert (flat(other.state_dict()), flat(other_optimizer.state_dict())) == before


# ---- saving: all or nothing ----------------------------------------------------------------------

def test_a_failing_save_leaves_the_old_file_and_no_litter(saved, monkeypatch):
    before = saved.read_bytes()
    with pytest.raises(TypeError, match="what JSON can"):
        checkpoint.save(saved, model=nn.Linear(2, 1), config={"a": object()})

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save(saved, model=nn.Linear(2, 1))
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


@pytest.mark.parametrize("moment", ["os.fsync", "os.replace"])
def test_a_kill_in_the_middle_of_saving_leaves_the_old_file(saved, moment):
    before = saved.read_bytes()
    script = textwrap.dedent(f"""
        import os, signal
        from minigrad import checkpoint, nn
        {moment} = lambda *args: os.kill(os.getpid(), signal.SIGKILL)
        checkpoint.save({str(saved)!r}, model=nn.Linear(2, 1), epoch=99)
    """)
    root = Path(checkpoint.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, check=False)
    assert done.returncode == -signal.SIGKILL
    assert saved.read_bytes() == before
    assert checkpoint.load(saved).epoch == 3
    checkpoint.save(saved, model=nn.Linear(2, 1), epoch=4)
    assert checkpoint.load(saved).epoch == 4


def test_a_saved_file_has_the_usual_permissions(saved):
    mask = os.umask(0)
    os.umask(mask)
    assert saved.stat().st_mode & 0o777 == 0o666 & ~mask
