"""Checkpoints that are damaged, do not fit, or are being written when something fails."""

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
from training_parts import OURS, THEIRS, Loader, flat, parts

import minigrad as mg
import minigrad.train
import torch_impl.checkpoint
from minigrad import checkpoint, nn, optim
from minigrad.checkpoint import CheckpointError

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
