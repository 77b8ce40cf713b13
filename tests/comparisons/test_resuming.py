"""A configuration that no run has written is one line that names the checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from test_report import ENVIRONMENT, RUN

from comparisons.audits.parity import audit
from comparisons.errors import Fault
from comparisons.predict.trained import with_options_of
from comparisons.report import table
from comparisons.tasks.dexpression import DexpressionOptions
from comparisons.tasks.kept import options_of, settings_of
from comparisons.tasks.options import fits
from comparisons.tasks.registry import TASKS
from comparisons.training.formats import check_details, check_results
from comparisons.training.resuming import history_of
from minigrad.checkpoint import Checkpoint
from minigrad.schema import Mismatch

PATH = Path("some.safetensors")
EPOCH = {"fold": 0, "epoch": 0, "loss": 1.0, "seconds": 0.5, "margin": 2.0}


def kept(config: Any, epoch: int = 2) -> Checkpoint:
    return Checkpoint(PATH, {}, epoch=epoch, config=config)


@pytest.mark.parametrize(("config", "told"), [
    ([1], "the whole: expected an object; got a list"), ("x", "the whole: expected an object"),
    ({"options": [{}]}, "options: expected an object"), ({"options": False}, "options: expected"),
    ({"training": -1}, "training: expected a number from 0"),
    ({"training": True}, "training: expected a whole number")])
def test_settings(config: Any, told: str) -> None:
    with pytest.raises(Fault, match=f"^{PATH}: its configuration cannot be used: {told}"):
        settings_of(kept(config))
    assert settings_of(kept(None)) == {}


@pytest.mark.parametrize("options", [
    {"variant": True}, {"variant": 5}, {"variant": "none"}, {"folds": {}}, {"folds": "x"},
    {"frames": {"a": 1}}, {"neutral": 1.5}, {"neutral": "x"}, {"without": -1}, {"without": [[]]},
    {"without": ["dropout", 1]}, {"without": float("nan")}, {"folds": [3]}, {"calibrate": []}])
def test_options(options: Any) -> None:
    with pytest.raises(Fault, match=f"^{PATH}: its options cannot be used: ") as caught:
        options_of(kept({"options": options}), DexpressionOptions)
    assert "Error" not in str(caught.value)
    known = DexpressionOptions(folds=3, neutral=True, variant="paper")
    assert options_of(kept({"options": known.kept()}), DexpressionOptions).own() == known.own()


def test_an_option_that_the_task_refuses_is_a_fault_of_the_checkpoint(
        monkeypatch: pytest.MonkeyPatch) -> None:
    task, mine = TASKS["mnist-mlp"], kept({"task": "mnist-mlp", "options": {"without": ["x"]}})
    monkeypatch.setattr("minigrad.checkpoint.load", lambda path: mine)
    for use in (lambda: with_options_of(mine, task, {}), lambda: audit.trained_with(task, PATH)):
        with pytest.raises(Fault, match=f"^{PATH}: its options cannot be used: --without: x is no"):
            use()


def test_values_that_fit_a_type() -> None:
    for hint, right, wrong in (
            (int | None, [None, 3, 0.5], [True, "3", [3]]), (float | None, [1, None], ["1"]),
            (tuple[str, ...], [[], ["a"]], ["a", [1], None, {}]),
            (tuple[int, str], [[1, "a"]], [[1], ["a", 1], [1, "a", "a"]]),
            (tuple, [[1, "a"]], [1, "a"]), (Path, ["a"], [1]), (complex, ["a", [1]], [])):
        assert all(fits(value, hint) for value in right), hint
        assert not any(fits(value, hint) for value in wrong), hint


@pytest.mark.parametrize("history", [
    3, {"a": 1}, [3], [{}], [EPOCH], [EPOCH, EPOCH], [EPOCH, EPOCH | {"epoch": 1, "fold": 1}],
    [EPOCH, EPOCH | {"epoch": 1.5}], [EPOCH, EPOCH | {"epoch": 1, "seconds": float("inf")}],
    [EPOCH, {k: v for k, v in EPOCH.items() if k != "margin"} | {"epoch": 1}], ["x", "y"]])
def test_histories(history: Any) -> None:
    with pytest.raises(Fault, match=f"^{PATH}: its configuration cannot be used: history"):
        history_of(kept({"history": history}), 0, 5)
    whole = [EPOCH, EPOCH | {"epoch": 1}]
    assert history_of(kept({"history": whole}), 0, 5) == whole
    assert history_of(kept({}), 0, 5) == []
    with pytest.raises(Fault, match="says that 6 of 5 epochs are finished"):
        history_of(kept({}, 6), 0, 5)


@pytest.mark.parametrize(("change", "told"), [
    ({"label": None}, r"differences\[0\].label: expected a text"),
    ({"seeds": [1]}, r"differences\[0\]: expected lists of equal length"),
    ({"seeds": [1], "minigrad": [1.0], "torch": [1.0]}, "seeds: expected at least two"),
    ({"difference": 1.0}, r"differences\[0\].low: is missing"),
    ({"difference": 1.0, "low": 0.0, "high": 2.0, "verdict": "x"}, r"\.p: is missing"),
    ({"items_low": 1.0}, r"differences\[0\].items_high: is missing")])
def test_differences(change: Any, told: str) -> None:
    entry = {"task": "t", "label": "score", "format": ".2f", "seeds": [0, 1],
             "minigrad": [1.0, 2.0], "torch": [1.0, 2.0]}
    content = {"environment": ENVIRONMENT, "runs": [RUN], "differences": [entry]}
    check_results(content)
    with pytest.raises(Mismatch, match=told):
        check_results(content | {"differences": [entry | change]})


@pytest.mark.parametrize(("change", "told"), [
    ({"metrics": {}}, r"runs\[0\].metrics.score: is missing"),
    ({"baselines": {"other": 1.0}}, r"runs\[0\].baselines.guess: is missing"),
    ({"accumulate": "2"}, "accumulate: expected a whole number; got"),
    ({"clip_norm": []}, "clip_norm: expected a number or null"),
    ({"processes": {}}, "processes: expected"), ({"amp": "x"}, "amp: expected true or false")])
def test_runs(change: Any, told: str) -> None:
    sound = {"accumulate": 2, "clip_norm": None, "processes": 3, "amp": True, "repeats": None}
    check_results({"environment": ENVIRONMENT, "runs": [RUN | sound]})
    with pytest.raises(Mismatch, match=told):
        check_results({"environment": ENVIRONMENT, "runs": [RUN | change]})


def test_what_another_version_has_recorded() -> None:
    more = {**RUN, "headlines": [RUN["headlines"][0] | {"new": "x"}], "repeats": None}
    other = RUN | {"impl": "torch", "metrics": {"another": 1.0}}
    row, = table.rows([more, other])
    assert (row.minigrad, row.torch) == ("1.250", "–")


@pytest.mark.parametrize(("seeds", "told"), [
    ([{"seed": 0}], "metrics: is missing"),
    ([{"seed": 0, "metrics": {}, "test_items": "x"}], "metrics.score: is missing"),
    ([{"seed": 0, "metrics": {"score": 1.0}}], "test_items: is missing"),
    ([{"seed": 0, "metrics": {"score": 1.0}, "test_items": "x"}] * 2, "expected each seed once")])
def test_seeds(seeds: Any, told: str) -> None:
    with pytest.raises(Mismatch, match=told):
        check_results({"environment": ENVIRONMENT, "runs": [RUN | {"seeds": seeds}]})


def test_what_is_drawn_can_be_drawn() -> None:
    """Shares are between 0 and 1, but for rounding, and axes cannot be computed for all floats."""
    table = {"confidence": [1 + 1e-7], "accuracy": [0.0], "share": [1.0]}
    sound = {"classes": ["a"], "targets": [0], "confidence": [-1e-17], "reliability": {
        "before": table}, "fit": {"truth": [3e38], "predicted": [-2]}}
    check_details(sound)
    for wrong, told in (
            ({"confidence": [1e308]}, r"confidence.0.: expected a number from 0 to 1; got 1e\+308"),
            ({"reliability": {"before": table | {"share": [10**19]}}}, "before.share.0.: expected"),
            ({"per_class": {"count": [1], "recall": [-1e308], "f1": [0]}}, "recall.0.: expected"),
            ({"fit": {"truth": [1e308], "predicted": [0]}}, "fit.truth.0.: expected a number b")):
        with pytest.raises(Mismatch, match=told):
            check_details(sound | wrong)
