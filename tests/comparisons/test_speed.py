"""`speed`: both sides do equal work; what it prints, writes and refuses. No test asks how fast."""

from __future__ import annotations

import json
import re
from typing import Any

import numba
import numpy as np
import pytest
import torch
from running import one_line
from timing import is_picture, no_compiler

import minigrad
from comparisons import implementations
from comparisons.cli import main
from comparisons.speed import clock, layers, limits, measurement, models, scaling
from comparisons.speed.models import Case
from comparisons.tasks.names import NAMES
from comparisons.training import environment

SMALL = Case("regression", 10)


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """As few rounds as possible; the number of threads is restored."""
    monkeypatch.setattr(clock, "MIN_ROUNDS", 2)
    monkeypatch.setattr(clock, "SHORTEST", 1e-4)
    monkeypatch.setattr(limits, "SIDES", (16,))
    monkeypatch.setattr(limits, "COPIED", 2**12)
    monkeypatch.setattr(limits, "REPEATS", 2)
    monkeypatch.setattr(layers, "SECONDS", 0.0)
    for module in (models, scaling):
        monkeypatch.setattr(module, "measure", measured)
    monkeypatch.setattr(implementations, "_threads", None)
    before = numba.get_num_threads()
    yield
    implementations.set_threads(before)


measure = models.measure


def measured(case: Case, seed: int, sides: Any = models.SIDES, _: float = 0) -> dict[str, Any]:
    """models.measure, as short as possible and without a compiler."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "compile", no_compiler)
        return measure(case, seed, sides, 0.0)


# ---- equal work --------------------------------------------------------------------------------

@pytest.mark.parametrize("case", [SMALL, Case("diabetes", 7), Case("mnist-cnn", 3),
                                  Case("dexpression", 2, 24, "paper")],
                         ids=lambda case: case.title)
def test_both_sides_take_the_same_steps(case):
    data = models.batch_of(case, 0)
    assert len(data.x) == len(data.y) == case.batch
    ours, theirs = (models.stepper(case, data, side, 0) for side in implementations.NAMES)
    # the first step is of the same weights; Adam then moves some by the sign of rounding
    assert ours() == pytest.approx(theirs(), rel=1e-5)
    losses = {"minigrad": [ours() for _ in range(3)], "torch": [theirs() for _ in range(3)]}
    assert losses["torch"][0] != losses["torch"][-1]
    assert models.difference(losses) < models.LOSS_BOUND


def test_faces_of_other_sizes_are_the_same_faces():
    small, large = (models.batch_of(Case("dexpression", 2, size, "paper"), 0) for size in (48, 96))
    assert large.x.shape == (2, 1, 96, 96)
    np.testing.assert_array_equal(small.y, large.y)
    expected = torch.nn.functional.interpolate(torch.from_numpy(small.x), size=(96, 96),
                                               mode="bilinear")
    np.testing.assert_allclose(large.x, expected.numpy(), atol=1e-6)


def test_sides_take_turns_and_each_turn_begins_untimed():
    calls: list[tuple[str, int]] = []

    def side(name: str, seconds: float) -> Any:
        def repeat(n: int) -> tuple[float, float]:
            calls.append((name, n))
            return seconds * len(calls), 0.0
        return repeat
    block, times = clock.in_turn({"a": side("a", 2e-5), "b": side("b", 1.0)}, 0.0)
    assert block == 5                                   # of 20 µs, to make up 0.1 ms
    assert calls == [("a", 1), ("b", 1)] + 2 * [("a", 5), ("a", 5), ("b", 5), ("b", 5)]
    np.testing.assert_allclose(times["a"], [[2e-5 * 4, 0], [2e-5 * 8, 0]])
    np.testing.assert_allclose(times["b"], [[6, 0], [10, 0]])


def test_layers_are_the_models_with_torchs_shapes_and_known_operations():
    case = Case("dexpression", 2, 32, "paper")
    data = models.batch_of(case, 0)
    ours, theirs = ({(w.title, w.shape): w for w in layers.works(
        models.build(case, data, name, 0), data)} for name in implementations.NAMES)
    for key in ours | theirs:
        for field in ("passes", "flops", "bytes", "count"):
            assert getattr(ours[key], field) == getattr(theirs[key], field), key
    first = ours["conv2d 1→64 7×7 /2", (2, 1, 32, 32)]
    product = 2 * 2 * 64 * 16 * 16 * 49
    assert first.flops == (product, product)            # no gradient of the images
    weights, x, y = 64 * 49 + 64, 2 * 32 * 32, 2 * 64 * 16 * 16
    assert first.bytes == (4 * (weights + x + y), 4 * (2 * weights + x + y))
    inner = ours["conv2d 96→208 3×3", (2, 96, 8, 8)]
    assert inner.flops[1] == 2 * inner.flops[0]
    assert ours["relu", (2, 64, 8, 8)].count == 1
    assert ours["relu", (2, 208, 8, 8)].flops == (0, 0)


def test_a_layer_before_the_first_parameter_has_no_backward_pass():
    case = Case("dexpression", 2, 32, "compact")
    data = models.batch_of(case, 0)
    for name in implementations.NAMES:
        first, second, *_ = layers.works(models.build(case, data, name, 0), data)
        assert (first.title.split()[0], first.passes) == ("avgpool2d", ("forward",))
        assert second.passes == ("forward", "backward")
        assert len(first.repeat(1)) == 1


def test_a_limit_is_the_slower_of_products_and_copies():
    machine = limits.Limits(gemm_gflops=100, copy_gbs=10)
    assert machine.share(50e9, 1e9, 1.0) == pytest.approx(0.5)
    assert machine.share(50e9, 8e9, 1.0) == pytest.approx(0.8)
    found = limits.measured(2)
    assert found.gemm_gflops > 0
    assert found.copy_gbs > 0


# ---- what it prints and writes -----------------------------------------------------------------

def test_models_are_printed_written_and_drawn(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(models, "CASES", (SMALL, Case("diabetes", 10)))
    files = [tmp_path / "new" / name for name in ("speed.json", "speed.png")]
    assert main(["speed", "regression", "--threads", "1", "--json", str(files[0]),
                 "--plot", str(files[1])]) == 0
    content, out = json.loads(files[0].read_text()), capsys.readouterr().out
    (row,) = content["rows"]
    assert (row["task"], row["batch"], content["measured"]) == ("regression", 10, "models")
    for impl in implementations.NAMES:
        assert 0 < row[impl]["q1_ms"] <= row[impl]["median_ms"] <= row[impl]["q3_ms"]
        assert row[impl]["peak_rss_mb"] >= row[impl]["rss_before_mb"] > 20
    assert row["ratio_torch"] == row["torch"]["median_ms"] / row["minigrad"]["median_ms"]
    assert row["loss_difference"] < models.LOSS_BOUND
    assert set(row["threads"].values()) == {1}
    assert row["ratio_compiled"] is None
    assert row["compiled"]["failed"] == "inductor raised: No working C++ compiler"
    assert re.search(r"failed .*\n.*torch\.compile.* regression: inductor raised: No working", out,
                     re.S)
    assert content["environment"]["cpu"] in out
    assert {"threading_layer", "variables", "blas"} <= content["environment"].keys()
    assert is_picture(files[1])


def test_models_are_measured_without_the_compiler(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(models, "CASES", (SMALL,))
    files = [tmp_path / name for name in ("speed.json", "speed.png")]
    assert main(["speed", "regression", "--eager", "--json", str(files[0]),
                 "--plot", str(files[1])]) == 0
    (row,) = json.loads(files[0].read_text())["rows"]
    assert not {"compiled", "ratio_compiled"} & row.keys()
    assert "failed" not in capsys.readouterr().out
    assert is_picture(files[1])


@pytest.mark.parametrize("what", ["layers", "scaling"])
def test_layers_and_scaling_are_printed_written_and_drawn(what, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(layers, "CASES", (SMALL,))
    monkeypatch.setattr(scaling, "BATCH_CASES", (SMALL, Case("regression", 20)))
    monkeypatch.setattr(scaling, "SIZE_CASES", (Case("dexpression", 2, 16, "paper"),))
    files = [tmp_path / name for name in ("speed.json", "speed.png")]
    assert main(["speed", f"--{what}", "--json", str(files[0]), "--plot", str(files[1])]) == 0
    rows, out = json.loads(files[0].read_text())["rows"], capsys.readouterr().out
    for row in rows:
        assert row["ratio_torch"] == row["torch"]["median_ms"] / row["minigrad"]["median_ms"]
    if what == "layers":
        assert [(row["layer"], row["pass"]) for row in rows] == [
            ("linear 8→1", "forward"), ("linear 8→1", "backward"), ("loss", "forward"),
            ("loss", "backward"), ("Adam step", "step")]
        assert rows[0]["flops"] == 2 * 10 * 8
        assert "limits, threads 1: matrix product" in out
        assert rows[0]["limits"]["1"].keys() == {"gemm_gflops", "copy_gbs"}
    else:
        assert [(row["title"], row["batch"], row["grows"]) for row in rows] == [
            ("regression", 10, "batch"), ("regression", 20, "batch"),
            ("dexpression paper 16 px", 2, "size")]
    assert is_picture(files[1])


def test_different_losses_are_noticed(monkeypatch, capsys):
    monkeypatch.setattr(models, "CASES", (SMALL,))
    backward = minigrad.Tensor.backward
    monkeypatch.setattr(minigrad.Tensor, "backward", lambda self: backward(-self))
    assert main(["speed", "regression"]) == 1
    assert "The losses differ by more than" in capsys.readouterr().out


def test_rows_are_for_the_threads_that_were_asked_for(monkeypatch, capsys):
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", 2)
    told: list[Any] = []
    monkeypatch.setattr(implementations, "set_threads", told.append)
    monkeypatch.setattr(measurement, "rows", lambda *given: told.append(given[-1]) or [])
    assert main(["speed", "--threads", "1", "2"]) == 0
    assert told == [1, 1, 2, 2]
    told.clear()
    assert main(["speed"]) == 0
    assert told == [None, None]


def test_every_model_has_its_rows():
    assert {case.task for case in models.CASES} == set(NAMES)
    assert [(case.size, case.batch) for case in models.CASES if case.variant == "paper"] == [
        (48, 32), (96, 32), (224, 16), (224, 32)]


def test_the_environment_tells_the_variables_that_change_speed(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("NUMBA_CACHE_DIR", "a folder")
    told = environment.describe()["variables"]
    assert told["OMP_NUM_THREADS"] == "3"
    assert "NUMBA_CACHE_DIR" not in told


@pytest.mark.parametrize(("value", "text"), [
    (0.04123, "0.0412"), (4.123, "4.12"), (41.23, "41.2"), (412.3, "412"), (4123.4, "4123"),
    (0.0, "0"), (float("nan"), "nan")])
def test_digits(value, text):
    assert clock.digits(value) == text


# ---- refusals ----------------------------------------------------------------------------------

@pytest.mark.parametrize(("argv", "pattern"), [
    (["--json"], "--json"), (["--plot"], "--plot"), (["mnist"], "unknown task 'mnist'"),
    (["--threads", "0"], "--threads: must be from 1 to 1024"),
    (["--layers", "--scaling"], "not allowed"), (["--zoo", "--against", "jax"], "not allowed"),
    (["--against", "tensorflow"], "invalid choice: 'tensorflow'"),
    (["--zoo", "regression"], "--zoo: takes no TASK; got regression"),
    (["mnist-cnn", "--walk"], "--walk: takes no TASK; got mnist-cnn"),
    (["--layers", "--eager"], "--eager: applies to the tasks and to --zoo"),
    (["--against", "jax", "--threads", "1"], "--threads: does not apply to --against jax"),
    (["--threads", "1", "999"], r"--threads 999: Numba has at most \d+ on this machine")])
def test_usage_errors_are_one_line_and_status_2(argv, pattern, capsys):
    assert main(["speed", *argv]) == 2
    assert re.search(pattern, one_line(capsys))


@pytest.mark.parametrize("flag", ["--json", "--plot"])
@pytest.mark.parametrize("place", ["a file's inside", "a folder"])
def test_a_file_that_cannot_be_written_is_noticed_before_measuring(flag, place, tmp_path,
                                                                   monkeypatch, capsys):
    monkeypatch.setattr(measurement, "rows", lambda *_: pytest.fail("measured"))
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "out" if place == "a file's inside" else tmp_path
    assert main(["speed", "regression", flag, str(path)]) == 1
    assert str(path) in one_line(capsys)
