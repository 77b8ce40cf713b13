"""`speedrun`: the rules of the record, its statistics, and SimpleChains.jl's tasks.

No test asks how fast, or trains for long.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from running import idx_folder, one_line
from scipy import stats
from scipy.linalg import expm

from comparisons import implementations
from comparisons.cli import main
from comparisons.datasets.mnist import load_subset
from comparisons.implementations import NAMES
from comparisons.speed.models import LOSS_BOUND, difference
from comparisons.speedrun import recipe, record, simplechains

DIGITS = 400


@pytest.fixture(scope="module")
def digits():
    """A few real digits under the name of the whole MNIST."""
    data = load_subset()
    return record.needed(replace(data, name="mnist", x=data.x[:DIGITS], y=data.y[:DIGITS],
                                 x_test=data.x_test[:50], y_test=data.y_test[:50]))


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """A few steps."""
    monkeypatch.setattr(recipe, "STEPS", 4)


@pytest.fixture
def found(digits, monkeypatch):
    """They are what the commands find."""
    for module in (record, simplechains):
        monkeypatch.setattr(module, "load_mnist", lambda place: digits)


# ---- rules ---------------------------------------------------------------------------------------

def test_digits_come_in_random_order_moved_by_at_most_a_pixel(monkeypatch):
    monkeypatch.setattr(recipe, "STEPS", 6)
    x = np.arange(DIGITS * 784, dtype=np.float32).reshape(DIGITS, 1, 28, 28)    # no value twice
    rows, moves = [], set()
    for batch, y in recipe.batches(x, np.arange(DIGITS), 3):
        assert batch.shape == (recipe.BATCH, 1, 24, 24)
        for image, row in zip(batch[:, 0], y, strict=True):
            top, left = divmod(int(image[0, 0]) - 784 * row, 28)
            np.testing.assert_array_equal(image, x[row, 0, top:top + 24, left:left + 24])
            rows.append(row)
            moves.add((top, left))
    assert len(rows) == 6 * recipe.BATCH
    assert sorted(rows[:DIGITS]) == list(range(DIGITS)) != rows[:DIGITS]
    assert len(set(rows[DIGITS:])) == 6 * recipe.BATCH - DIGITS     # none comes a third time
    assert moves == {(top, left) for top in (1, 2, 3) for left in (1, 2, 3)}


def test_batches_depend_on_the_seed_alone(digits):
    def all_of(seed):
        return np.concatenate([x for x, _ in recipe.batches(digits.x, digits.y, seed)])
    np.testing.assert_array_equal(all_of(1), all_of(1))
    assert (all_of(1) != all_of(2)).any()


@pytest.mark.parametrize("name", NAMES)
def test_the_number_of_steps_is_fixed_and_the_rate_rises_and_falls_once(digits, monkeypatch, name):
    rates, implementation = [], implementations.get(name, "cpu")
    monkeypatch.setattr(recipe, "STEPS", 20)
    monkeypatch.setattr(recipe, "BATCH", 20)
    adam = implementation.optim.AdamW

    def watched(*args, **kwargs):
        optimizer = adam(*args, **kwargs)
        optimizer.register_step_post_hook(lambda o, *_: rates.append(o.param_groups[0]["lr"]))
        return optimizer
    monkeypatch.setattr(implementation.optim, "AdamW", watched)
    if name == "minigrad":              # a recording would not call the hook
        monkeypatch.setattr("minigrad.compile", lambda step: lambda *arrays: step(
            *map(implementation.tensor, arrays)))
    recipe.train(implementation, digits.x, digits.y, 0)
    assert len(rates) == 20
    top = int(np.argmax(rates))
    assert max(rates) == pytest.approx(recipe.LR)
    assert top == recipe.RISE * len(rates) - 1
    assert all(a < b for a, b in pairwise(rates[:top + 1]))
    assert all(a > b for a, b in pairwise(rates[top:]))


def test_test_digits_are_looked_at_once_after_the_last_step(digits, found, monkeypatch):
    events = []
    train, accuracy = recipe.train, recipe.accuracy
    monkeypatch.setattr(recipe, "train", lambda *given: events.append("train") or train(*given))

    def looked(implementation, model, x, y):
        if x is digits.x_test:
            events.append("test")
        return accuracy(implementation, model, x, y)
    monkeypatch.setattr(recipe, "accuracy", looked)
    assert main(["speedrun", "--seeds", "2", "--impl", "minigrad"]) == 0
    assert events == ["train", "test"] * 2


def test_accuracy_is_the_share_of_right_answers(digits):
    implementation = implementations.get("minigrad")

    class Constant:
        training = False

        def eval(self):
            pass

        def train(self, mode):
            pass

        def __call__(self, x):
            assert x.shape[1:] == (1, 24, 24)
            return implementation.tensor(np.tile(np.eye(10)[7], (len(x), 1)))
    share = recipe.accuracy(implementation, Constant(), digits.x_test, digits.y_test)
    assert share == np.count_nonzero(digits.y_test == 7) / 50


def test_both_sides_take_the_same_steps(digits):
    sides = {name: implementations.get(name, "cpu") for name in NAMES}
    losses = record.warmed_up(sides, digits, 5)
    assert losses["minigrad"][0] == pytest.approx(losses["torch"][0], rel=1e-5)
    assert difference(losses) < LOSS_BOUND
    weights = {name: side.weights(recipe.prepare(side, 5)[0]) for name, side in sides.items()}
    for key, value in weights["minigrad"].items():
        np.testing.assert_array_equal(value, weights["torch"][key], err_msg=key)


# ---- data ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("more", [[], ["--simplechains"]])
def test_the_subset_is_refused(no_data_of_this_machine, capsys, more):
    assert main(["speedrun", *more]) == 1
    line = one_line(capsys)
    assert "60,000 + 10,000" in line
    assert "the embedded subset" in line
    assert "--data DIR" in line


def test_other_digits_are_refused(tmp_path, capsys):
    assert main(["speedrun", "--data", str(idx_folder(tmp_path))]) == 1
    assert "40 training" in one_line(capsys)


def test_the_test_digits_stay_out_of_a_validation(digits, found, monkeypatch, capsys):
    monkeypatch.setattr(record, "HELD_OUT", 100)
    seen = []
    monkeypatch.setattr(record, "run", lambda side, data, seed: seen.append(data) or (0.5, 1.0))
    assert main(["speedrun", "--impl", "minigrad", "--seeds", "1", "--validate"]) == 0
    (data,) = seen
    for trained, tested, whole in ((data.x, data.x_test, digits.x),
                                   (data.y, data.y_test, digits.y)):
        np.testing.assert_array_equal(trained, whole[:300])
        np.testing.assert_array_equal(tested, whole[300:])
    assert "the last 100 of them are held out" in capsys.readouterr().out


# ---- statistics ----------------------------------------------------------------------------------

def test_the_interval_is_students_t():
    accuracies, seconds = [0.9912, 0.9903, 0.9921, 0.9899], [1.5, 1.1, 1.2, 9.0]
    told = record.summary(accuracies, seconds, 10_000)
    low, high = stats.t.interval(0.95, 3, np.mean(accuracies), stats.sem(accuracies))
    assert (told["low"], told["high"]) == (pytest.approx(low), pytest.approx(high))
    assert told["mean_accuracy"] == pytest.approx(np.mean(accuracies))
    assert told["median_seconds"] == pytest.approx(1.35)
    assert told["mean_seconds"] == pytest.approx(3.2)
    assert (told["q1_seconds"], told["q3_seconds"]) == (pytest.approx(1.175), pytest.approx(3.375))


def test_equal_accuracies_are_not_certainty():
    told = record.summary([0.9901] * 3, [1.0] * 3, 10_000)
    assert told["high"] - told["low"] == pytest.approx(
        2 * stats.t.ppf(0.975, 2) * 1e-4 / math.sqrt(3))


@pytest.mark.parametrize(("accuracies", "claim", "words"), [
    ([0.9921, 0.9922, 0.9923], record.HOLDS, "holds with 3 seeds"),
    ([0.9895, 0.9910, 0.9925], record.OPEN, "may hold, but 3 seeds cannot show it"),
    ([0.9999], record.OPEN, "may hold, but 1 seed cannot show it"),
    ([0.9899, 0.9898], record.FAILS, "does not hold: the mean of 2 seeds is lower"),
    ([0.98], record.FAILS, "does not hold: the mean of 1 seed is lower")])
def test_the_claim_needs_the_whole_interval(accuracies, claim, words):
    told = record.summary(accuracies, [1.0] * len(accuracies), 10_000)
    assert told["claim"] == claim
    assert f"minigrad: “99.0% on average” {words}" in record.text({"minigrad": told})


# ---- the command ---------------------------------------------------------------------------------

def test_the_record_is_printed_and_written(found, tmp_path, capsys):
    file = tmp_path / "record.json"
    assert main(["speedrun", "--seeds", "3", "--seed", "4", "--json", str(file)]) == 0
    content, out = json.loads(file.read_text()), capsys.readouterr().out
    assert (content["measured"], content["goal"], content["seeds"]) == ("speedrun", 0.99, [4, 5, 6])
    assert content["recipe"].items() >= {"batch": recipe.BATCH, "lr": recipe.LR}.items()
    assert content["loss_difference"] < LOSS_BOUND
    assert {"cpu", "threads", "versions"} <= content["environment"].keys()
    assert list(content["sides"]) == ["minigrad", "torch"]
    for side in content["sides"].values():
        assert len(side["seconds"]) == len(side["accuracies"]) == 3
        assert all(accuracy * 50 == pytest.approx(round(accuracy * 50))
                   for accuracy in side["accuracies"])
        assert side["claim"] == record.FAILS        # four steps teach nothing
        assert f"{side['mean_accuracy']:.3%}" in out
    ratio = np.divide(*(content["sides"][name]["median_seconds"] for name in ("torch", "minigrad")))
    assert f"PyTorch's time over minigrad's: {ratio:.2f}" in out
    assert "minigrad: “99.0% on average” does not hold: the mean of 3 seeds is lower" in out


def test_one_side_and_one_seed(found, tmp_path, capsys):
    file = tmp_path / "record.json"
    assert main(["speedrun", "--seeds", "1", "--impl", "torch", "--json", str(file)]) == 0
    content = json.loads(file.read_text())
    assert content["loss_difference"] is None
    assert content["sides"]["torch"]["low"] is None
    assert "over minigrad's" not in capsys.readouterr().out


def test_losses_that_differ_are_told(found, monkeypatch, capsys):
    monkeypatch.setattr(record, "warmed_up", lambda *_: {"minigrad": [2.0, 1.0],
                                                         "torch": [2.0, 1.9]})
    assert main(["speedrun", "--seeds", "1"]) == 1
    assert "The losses of the first steps differ" in capsys.readouterr().out


# ---- SimpleChains.jl's tasks ---------------------------------------------------------------------

def test_the_exponentials_are_those_of_scipy():
    x, y = simplechains.matrices(0)
    assert x.shape == y.shape == (10_000, 4)
    assert x.dtype == y.dtype == np.float32
    for a, b in zip(x[:30], y[:30], strict=True):
        np.testing.assert_allclose(b.reshape(2, 2), expm(a.reshape(2, 2).astype(float)), rtol=1e-4,
                                   atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_networks_are_the_published_ones(name):
    implementation = implementations.get(name, "cpu")
    for make, count in ((simplechains.perceptron, 4 * 32 + 32 + 32 * 16 + 16 + 16 * 4 + 4),
                        (simplechains.lenet, 44_426)):
        model = implementation.new_model(make, 0, np.float32)
        assert sum(math.prod(p.shape) for p in model.parameters()) == count


def test_both_sides_train_as_many_epochs(digits):
    sides = {name: implementations.get(name, "cpu") for name in NAMES}
    few = replace(simplechains.exponentials(0), epochs=20)
    told = simplechains.raced(few, sides, 0)
    errors = [side["test_error"] for side in told["sides"].values()]
    assert errors[0] == pytest.approx(errors[1], rel=1e-3)
    assert told["loss_difference"] < LOSS_BOUND
    seen = []
    task = replace(simplechains.digits(digits), epochs=10, batch=150)
    for _ in simplechains.trained(task, lambda x, y: seen.append(len(y)), 0):
        pass
    assert seen == [150, 150, 100] * 10


def test_the_tasks_are_printed_and_written(found, monkeypatch, tmp_path, capsys):
    full = simplechains.exponentials
    monkeypatch.setattr(simplechains, "exponentials", lambda seed: replace(full(seed), epochs=10))
    file = tmp_path / "tasks.json"
    assert main(["speedrun", "--simplechains", "--json", str(file)]) == 0
    content, out = json.loads(file.read_text()), capsys.readouterr().out
    assert content["measured"] == "simplechains"
    assert list(content["tasks"]) == ["exponentials", "digits"]
    for task, key in zip(content["tasks"].values(), ("test_error", "test_accuracy"), strict=True):
        assert list(task["sides"]) == ["minigrad", "torch"]
        assert all(side["seconds"] > 0 and key in side for side in task["sides"].values())
    assert content["tasks"]["digits"]["batch"] == 128
    assert "SimpleChains.jl, Core i7-1165G7, 4 cores (published)" in out


@pytest.mark.parametrize("flag", [["--seeds", "2"], ["--validate"]])
def test_what_the_published_tasks_do_not_use_is_refused(flag, capsys):
    assert main(["speedrun", "--simplechains", *flag]) == 2
    assert flag[0] in one_line(capsys)


def test_more_threads_than_minigrad_can_use_are_refused(capsys):
    assert main(["speedrun", "--threads", "999"]) == 2
    assert "--threads 999: Numba has at most" in one_line(capsys)
