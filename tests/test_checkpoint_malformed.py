"""Checkpoints that nobody wrote by mistake: every sum is right, but the content is not."""

import copy
import hashlib
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save

import minigrad as mg
from minigrad import checkpoint, nn, optim
from minigrad.checkpoint import CheckpointError
from torch_impl import checkpoint as torch_checkpoint


@pytest.fixture
def saved(tmp_path):
    """A checkpoint, its content and its tensors."""
    path = tmp_path / "small.safetensors"
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.parameters(), momentum=0.9)
    model(mg.ones(1, 2)).sum().backward()
    optimizer.step()
    checkpoint.save(path, model=model, optimizer=optimizer, epoch=3, config={"a": 1})
    with safe_open(path, framework="np") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}     # noqa: SIM118 no dict
        return path, json.loads(file.metadata()["minigrad"]), tensors


def rewrite(path, text, tensors):
    """Write a checkpoint with any text as its content, and the right sum of it."""
    text = text if isinstance(text, str) else json.dumps(text)
    path.write_bytes(save(tensors, {"minigrad": text,
                                    "sha256": hashlib.sha256(text.encode()).hexdigest()}))


def message(path):
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(path)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 400
    assert text.startswith(f"{path}: ")
    return text


@pytest.mark.parametrize("text", ["", "[]", "null", "3", '"x"', "{", "{}", "[" * 100_000,
                                  '{"format": ' + "9" * 5000 + "}", '{"format": [1]}',
                                  '{"format": 1}', '{"format": "1"}', '{"format": 1.0}'])
def test_a_content_that_is_none(saved, text):
    path, _, tensors = saved
    rewrite(path, text, tensors)
    assert "not a checkpoint that minigrad has written" in message(path)


def test_the_tensors_are_those_of_the_checksums(saved):
    path, content, tensors = saved
    for some in ({k: v for k, v in tensors.items() if k != "model.bias"},
                 tensors | {"model.more": np.zeros(2, np.float32)}):
        rewrite(path, content, some)
        assert "the tensors are not those of its checksums" in message(path)


@pytest.mark.parametrize("wrong", [{"epoch": "three"}, {"epoch": -1}, {"step": 1.5},
                                   {"config": {"a": 10**5000}}, {"scheduler": [1]}])
def test_fields_that_could_not_be_loaded_are_not_saved(saved, wrong):
    path, _, _ = saved
    before = path.read_bytes()
    with pytest.raises(TypeError, match="checkpoint: config and states may hold what JSON can"):
        checkpoint.write(replace(checkpoint.load(path), **wrong))
    assert path.read_bytes() == before


@pytest.mark.parametrize("key", ["format", "epoch", "step", "optimizer", "scheduler", "sha256"])
def test_every_key_is_needed_and_has_its_kind(saved, key):
    path, content, tensors = saved
    rewrite(path, {k: v for k, v in content.items() if k != key}, tensors)
    assert f"{key}: is missing" in message(path)
    for wrong in ("x", [1], True, -1, 1.5, [[{}]]):
        rewrite(path, content | {key: wrong}, tensors)
        assert message(path)


@pytest.mark.parametrize(("change", "told"), [
    ({"state": []}, "optimizer.state: expected an object"),
    ({"state": {"0": 3}}, 'optimizer.state."0": expected an object'),
    ({"state": {"first": {}}}, "the numbers of parameters"),
    ({"state": {"9" * 5000: {}}}, "the numbers of parameters"),
    ({"state": {"²": {}}}, "the numbers of parameters"),
    ({"state": {}}, "belongs to no parameter"),
    ({"state": {"7": {}}}, "belongs to no parameter"),
    ({"param_groups": {}}, "optimizer.param_groups: expected a list"),
    ({"param_groups": [3]}, "optimizer.param_groups[0]: expected an object"),
    ({"param_groups": None}, "optimizer.param_groups: expected a list; got null")])
def test_the_state_of_an_optimiser(saved, change, told):
    path, content, tensors = saved
    rewrite(path, content | {"optimizer": content["optimizer"] | change}, tensors)
    assert told in message(path)


@pytest.mark.parametrize("groups", [[], [{}], [{"params": 3}], [{"params": ["a"]}],
                                    [{"params": [0, 1], "lr": "fast"}], [{"params": [0, 1]}]])
def test_what_cannot_be_restored_is_one_line_and_changes_nothing(saved, groups):
    path, content, tensors = saved
    rewrite(path, content | {"optimizer": content["optimizer"] | {"param_groups": groups}}, tensors)
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.parameters(), momentum=0.9)
    before = {k: v.data.copy() for k, v in model.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        checkpoint.restore(path, model=model, optimizer=optimizer)
    assert str(caught.value).startswith(f"{path}: does not fit this optimizer")
    assert "\n" not in str(caught.value)
    assert all(np.array_equal(before[k], v.data) for k, v in model.state_dict().items())
    optimizer.step()


@pytest.mark.parametrize("side", ["minigrad", "torch"])
@pytest.mark.parametrize(("name", "options", "key", "wrong"), [
    ("SGD", {"momentum": 0.9}, "momentum_buffer", np.zeros((3, 2))),
    ("SGD", {"momentum": 0.9}, "momentum_buffer", np.zeros((2, 3, 2))),
    ("SGD", {"momentum": 0.9}, "momentum_buffer", np.zeros(())),
    ("SGD", {"momentum": 0.9}, "momentum_buffer", "much"),
    ("Adam", {}, "exp_avg", np.zeros((2, 1))), ("Adam", {}, "exp_avg", np.zeros(())),
    ("Adam", {}, "exp_avg", None), ("Adam", {}, "exp_avg", 0.5),
    ("Adam", {}, "exp_avg_sq", np.zeros(6)), ("Adam", {}, "exp_avg_sq", np.zeros((1, 2, 3))),
    ("Adam", {}, "step", np.zeros((2, 3))), ("Adam", {}, "step", "x"),
    ("AdamW", {"amsgrad": True}, "max_exp_avg_sq", np.zeros((4, 2, 3))),
    ("RMSprop", {"centered": True}, "grad_avg", np.zeros(0)),
    ("RMSprop", {"momentum": 0.5}, "square_avg", np.zeros((2, 3, 1)))])
def test_a_state_that_no_step_leaves_is_refused_before_the_first_step(
        tmp_path, side, name, options, key, wrong):
    package, files = (mg, checkpoint) if side == "minigrad" else (torch, torch_checkpoint)
    model = package.nn.Linear(3, 2)
    optimizer = getattr(package.optim, name)(model.parameters(), lr=0.1, **options)
    model(package.ones(1, 3)).sum().backward()
    optimizer.step()
    kept = files.state(tmp_path / "x.safetensors", model=model, optimizer=optimizer)
    before = copy.deepcopy(kept.optimizer)
    state = {i: dict(values) for i, values in kept.optimizer["state"].items()}
    state[0][key] = wrong if not isinstance(wrong, np.ndarray) else np.float32(wrong)
    files.write(replace(kept, optimizer=kept.optimizer | {"state": state}))
    with pytest.raises(CheckpointError, match=rf"does not fit this optimizer: .*{key}.* 0 "
                       ) as caught:
        files.restore(kept.path, model=model, optimizer=optimizer)
    assert "\n" not in str(caught.value)
    now = files.state(kept.path, model=model, optimizer=optimizer).optimizer
    for i, values in before["state"].items():
        assert all(np.array_equal(value, now["state"][i][k]) for k, value in values.items())
    optimizer.step()


@pytest.mark.parametrize("side", ["minigrad", "torch"])
def test_an_optimiser_with_a_state_of_its_own_is_restored(tmp_path, side):
    package, files = (mg, checkpoint) if side == "minigrad" else (torch, torch_checkpoint)
    model = package.nn.Linear(3, 2)
    kinds = ([optim.SGD, OneNumber] if side == "minigrad" else
             [torch.optim.Adafactor, torch.optim.NAdam, torch.optim.ASGD, torch.optim.Rprop,
              torch.optim.Adagrad, torch.optim.SGD])
    told = []
    for kind in kinds:
        optimizer = kind(model.parameters(), lr=0.1)
        optimizer.register_step_post_hook(lambda *args: told.append(args))
        model(package.ones(1, 3)).sum().backward()
        optimizer.step()
        files.save(tmp_path / "x.safetensors", model=model, optimizer=optimizer)
        optimizer.step()
        files.restore(tmp_path / "x.safetensors", model=model, optimizer=optimizer)
        optimizer.step()
    assert len(told) == 3 * len(kinds)          # no hook is called while loading


class OneNumber(optim.Optimizer):
    """Gradient descent that remembers the norm of the last gradient."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    def update(self, p, g, state, group):
        state["norm"] = np.linalg.norm(g.ravel())[()]
        state["last"] = np.asarray(state["norm"])
        p -= group["lr"] * g


def test_the_state_of_a_parameter_too_many(saved):
    path, content, tensors = saved
    content["optimizer"]["state"]["2"] = {}
    rewrite(path, content, tensors | {})
    model = torch.nn.Linear(2, 1)
    with pytest.raises(CheckpointError, match="holds the state of a parameter 2; there are 2"):
        torch_checkpoint.restore(path, model=model, optimizer=torch.optim.SGD(
            model.parameters(), lr=0.1, momentum=0.9))


def test_an_unreadable_file_is_not_called_missing(saved, monkeypatch):
    path = saved[0]
    monkeypatch.chdir(path.parent)
    path.parent.chmod(0o755)
    path.chmod(0)
    root = os.geteuid() == 0            # root may read everything
    if root:
        os.seteuid(65534)
    try:
        assert "cannot be read: Permission denied" in message(Path(path.name))
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.skipif(sys.platform == "win32", reason="has no such files")
def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "not a file" in message(tmp_path / "pipe")
    assert "not a file" in message(Path("/dev/zero"))


def test_a_header_with_large_promises(tmp_path):
    path, began = tmp_path / "x.safetensors", time.perf_counter()
    for length in (2**63, 2**40, 100_000_000, 2**64 - 1):
        path.write_bytes(length.to_bytes(8, "little") + b"{}")
        assert "truncated, damaged" in message(path)
    for shape, offsets in [([2**40], [0, 2**42]), ([2**32, 2**32], [0, 0]), ([2**63], [0, 4]),
                           ([2**62, 4], [0, 0]), ([0, 2**63], [0, 0]), ([1], [4, 0])]:
        header = json.dumps({"a": {"dtype": "F32", "shape": shape, "data_offsets": offsets}})
        path.write_bytes(len(header).to_bytes(8, "little") + header.encode() + b"\0" * 4)
        assert message(path)
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize("value", [
    np.ones(2, np.complex128), np.array(["a"]), np.array([None]), np.zeros(1, "M8[D]"),
    np.zeros(2, [("a", "f4")]), 3, "text", None, [1.0]], ids=str)
def test_what_could_not_be_loaded_is_not_saved(saved, value):
    path = saved[0]
    before = path.read_bytes()
    with pytest.raises(TypeError, match=r"checkpoint: model\.a must be an array of bool"):
        checkpoint.write(checkpoint.Checkpoint(path, {"a": value}))
    assert path.read_bytes() == before


@pytest.mark.parametrize("dtype", [*checkpoint.DTYPES, ">f4", ">i8", ">u2", "<f8", ">c8"])
def test_every_kind_of_values_comes_back(tmp_path, dtype):
    array = np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)
    for some in (array, array.T, array[:, ::-1], array[0, 1], array[:0]):
        checkpoint.write(checkpoint.Checkpoint(tmp_path / "x", {"a": some}))
        back = checkpoint.load(tmp_path / "x").model["a"]
        assert back.dtype == np.dtype(dtype).newbyteorder("=")
        assert back.shape == some.shape
        assert np.array_equal(back, some)


def test_a_config_that_could_not_be_loaded_is_not_saved(saved):
    path = saved[0]
    before = path.read_bytes()
    deep: dict = {}
    for _ in range(5000):
        deep = {"a": deep}
    for config in (deep, {"a": 10**5000}, {"a": {1, 2}}, {(1, 2): 3}):
        with pytest.raises(TypeError):
            checkpoint.save(path, model=nn.Linear(2, 1), config=config)
    assert path.read_bytes() == before
    for config in ({"a": 10**40}, {"a": float("inf")}, ["list"], "text", {"é": "\udce9"}):
        checkpoint.save(path, model=nn.Linear(2, 1), config=config)
        assert checkpoint.load(path).config == config


def sides():
    """Both implementations: their layers, optimisers, checkpoints and schedulers."""
    import torch

    import torch_impl.checkpoint
    from minigrad.optim import lr_scheduler
    yield nn.Linear, optim.Adam, checkpoint, lr_scheduler.OneCycleLR
    yield (torch.nn.Linear, torch.optim.Adam, torch_impl.checkpoint,
           torch.optim.lr_scheduler.OneCycleLR)


@pytest.mark.parametrize(("part", "keys", "wrong"), [
    ("scheduler", ["total_steps"], "x"), ("scheduler", ["last_epoch"], []),
    ("scheduler", ["_schedule_phases"], 3), ("scheduler", ["_schedule_phases", 1, "end_lr"], None),
    ("scheduler", ["_schedule_phases", 0], "x"), ("scheduler", ["base_lrs"], [0.1, 0.1]),
    ("scheduler", ["_anneal_func_type"], "cosine"), ("scheduler", ["base_lrs"], [float("nan")]),
    ("optimizer", ["param_groups", 0, "eps"], "x"), ("optimizer", ["param_groups", 0, "lr"], []),
    ("optimizer", ["param_groups", 0, "amsgrad"], "x"),
    ("optimizer", ["param_groups", 0, "max_momentum"], "x")])
def test_a_state_of_another_kind_is_refused_on_both_sides(tmp_path, part, keys, wrong):
    for linear, adam, io, one_cycle in sides():
        path = tmp_path / "x.safetensors"
        model = linear(2, 1)
        optimizer = adam(model.parameters(), lr=0.01)
        scheduler = one_cycle(optimizer, 0.1, total_steps=9)
        io.save(path, model=model, optimizer=optimizer, scheduler=scheduler)
        kept = io.load(path)
        place = getattr(kept, part)
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = wrong
        before = copy.deepcopy((optimizer.state_dict()["param_groups"], scheduler.state_dict()))
        with pytest.raises(CheckpointError, match=f"^{path}: does not fit this {part}") as caught:
            io.restore(kept, model=model, optimizer=optimizer, scheduler=scheduler)
        assert "\n" not in str(caught.value)
        assert (optimizer.state_dict()["param_groups"], scheduler.state_dict()) == before
        io.restore(path, model=model, optimizer=optimizer, scheduler=scheduler)


@pytest.mark.parametrize("state", [np.zeros(627), np.zeros(3, np.uint32),
                                   np.full(627, 2**31, np.uint32)])
def test_a_state_of_random_numbers_that_is_none_is_refused(tmp_path, state):
    for linear, _, io, _ in sides():
        path = tmp_path / "x.safetensors"
        model = linear(2, 1)
        io.save(path, model=model)
        mg.manual_seed(3)
        with pytest.raises(CheckpointError, match="does not fit this random: set_state: expected"):
            io.restore(replace(io.load(path), random={"minigrad": state}), model=model)
        drawn = mg.rand(3).data
        mg.manual_seed(3)
        np.testing.assert_array_equal(mg.rand(3).data, drawn)
