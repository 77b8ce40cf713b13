"""Checkpoints: a resumed run is bit-identical, and each framework reads the other's files."""

import math

import numpy as np
import pytest
from training_parts import OURS, THEIRS, Loader, flat, parts

import minigrad as mg
from minigrad import checkpoint, nn, optim
from minigrad.checkpoint import CheckpointError

CONFIG = {"task": "test", "lr": 0.1, "sizes": [3, 4], "nested": {"name": "ü"}, "none": None}
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
