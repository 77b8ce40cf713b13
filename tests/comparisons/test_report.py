"""The page: made from results.json and details.json alone, it says how its figures came about."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running import one_line, results, run_of

from comparisons.cli import main
from comparisons.datasets.base import Data
from comparisons.report import figures, seeds
from comparisons.tasks.classification import ClassificationTask
from comparisons.tasks.registry import TASKS
from comparisons.tasks.task import Headline, Split, Trained
from comparisons.training import environment

EVIL = '<evil a="b">&amp; \'$x$'
ENVIRONMENT = {"cpu": "a processor", "cores": 2, "platform": "a platform", "python": "3.11",
               "blas": "a BLAS", "threads": {"blas": 1, "numba": 1, "torch": None}, "gpu": None,
               "versions": {"minigrad": "0.1.0", "torch": "2.9"}, "peak_rss": environment.PEAK_RSS}
RUN = {"task": "my-task", "title": "My task", "impl": "minigrad", "dataset": "mine",
       "source": "data of my own", "seed": 0, "epochs": 2, "batch_size": 8, "lr": 0.1,
       "quick": False, "device": "cpu", "n_train": 20, "n_test": 4, "trainings": 1,
       "metrics": {"score": 1.25}, "baselines": {"guess": 3.5},
       "headlines": [asdict(Headline("my score", "score", "a guess", "guess", ".3f"))],
       "notes": [], "train_seconds": 1.0, "warm_up_seconds": 0.5, "peak_rss_mb": 147.2,
       "rss_before_mb": 131.8, "command": "python -m comparisons run my_task.py",
       "date": "2031-02-03 04:05:06 +0000"}
HISTORY = [{"fold": 0, "epoch": e, "loss": 2.0 - e, "seconds": 0.5} for e in range(2)]


class Outline(HTMLParser):
    """What a browser makes of a page: its elements, all closed, and its text."""

    VOID = ("meta", "img", "br")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.words: list[str] = []
        self.feed(page)
        assert self.open == []
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)


def page_of(folder: Path, *runs: dict[str, Any], details: dict[str, Any] | None = None) -> str:
    """The page of results that are written down here."""
    for run in runs:
        path = folder / f"{run['task']}-{run['impl']}" / "details.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"history": HISTORY} | (details or {})))
    (folder / "results.json").write_text(json.dumps(
        {"schema": 1, "environment": ENVIRONMENT, "runs": runs}))
    assert main(["report", str(folder)]) == 0
    return (folder / "report.html").read_text("utf-8")


def text_of(*args: Any, **kwargs: Any) -> str:
    return Outline(page_of(*args, **kwargs)).text


def judged(classes: list[str], images: bool = False) -> tuple[dict[str, float], dict[str, Any]]:
    """The verdict on made-up outputs of any classification, or of one of images."""
    rng = np.random.default_rng(0)
    y = np.arange(30) % len(classes)
    x = rng.uniform(0, 1, (30, 1, 4, 4) if images else (30, 2))
    outputs = rng.standard_normal((30, len(classes))) + 2 * np.eye(len(classes))[y]
    trained = [Trained(Split(x, y, x, y, np.arange(30), np.arange(30)), {}, outputs)]
    kind = type(TASKS["mnist-mlp"]) if images else ClassificationTask
    return kind.judge(TASKS["mnist-mlp"], Data("mine", "mine", x, y, classes=classes), trained)


def test_a_task_of_ones_own_needs_only_a_history(tmp_path):
    page = page_of(tmp_path, RUN)
    assert '<section id="my-task">' in page
    text = Outline(page).text
    for words in ("My task", "Data of my own.", "My score", "1.250", "3.500", "a guess",
                  "Training loss", "1, of 2 epochs"):
        assert words in text
    assert "How these figures were obtained" not in text
    assert "None" not in text


def test_whatever_a_history_holds_is_drawn(tmp_path):
    history = [{"fold": k, "epoch": e, "loss": -1.0 - e, "my_margin": 0.1 * e, "seconds": 0.1}
               for k in range(2) for e in range(3)]
    text = text_of(tmp_path, RUN | {"headlines": []}, details={"history": history})
    assert "My margin" in text
    assert "Thin lines are single trainings, thick ones their mean." in text
    assert "my-task" in text


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [1e308, -1e308, 1.7e308])
def test_numbers_of_any_size_are_drawn(value, tmp_path):
    history = [{"fold": k, "epoch": e, "loss": value, "test_accuracy": value, "seconds": 0.1}
               for k in range(2) for e in range(3)]
    assert "Test accuracy" in text_of(tmp_path, RUN, details={"history": history})
    entry = {"task": "t", "label": "score", "format": ".1%", "seeds": [0, 1], "verdict": "x",
             "minigrad": [value, 0.5], "torch": [-value, 0.5], "difference": value, "p": 0.5,
             "low": -value, "high": value}
    assert seeds.figures([entry])
    assert " ± " in seeds.text([entry])


def test_any_classification_shows_its_confusions_and_classes(tmp_path):
    metrics, details = judged(["red", "green", "blue"])
    run = RUN | {"metrics": metrics | {"score": 1.0}}
    text = text_of(tmp_path, run, RUN | {"impl": "torch"}, details=details)
    for words in ("Confusion matrix, minigrad", "Confusion matrix, PyTorch", "true class",
                  "predicted class", "Recall and F1 of each class", "harmonic mean", "green, 10"):
        assert words in text
    assert "Classified correctly" not in text
    many = judged([f"class {k}" for k in range(30)])[1]
    assert "class 29, 1" in text_of(tmp_path, RUN, details=many)


def test_an_interval_is_written_as_its_metric_is(tmp_path):
    text = text_of(tmp_path, RUN | {"metrics": {"score": 1.25, "score_low": 1.0, "score_high": 2}})
    assert "95% interval 1.000 to 2.000" in text


def test_names_with_markup_in_them_stay_names(tmp_path):
    details = judged([EVIL, "plain"], images=True)[1]
    details["sheet"] = [{"class": EVIL, "count": 3, "png": [details["samples"][0]["png"]]}]
    map2 = [[1.0, 0.0], [0.0, -1.0]]
    details["examples"] = [{"target": 0, "guess": 1, "png": details["samples"][0]["png"],
                            "confidence": 0.9, "grad_cam": map2, "occlusion": map2}]
    headline = asdict(Headline(EVIL, "score", EVIL, "guess", explanation=EVIL))
    run = RUN | {"title": EVIL, "source": EVIL, "dataset": EVIL, "notes": [EVIL], "device": EVIL,
                 "command": f"python -m comparisons run {EVIL}.py", "headlines": [headline]}
    page = page_of(tmp_path, run, details=details)
    outline = Outline(page)
    assert "evil" not in outline.tags
    assert "<evil" not in page
    assert outline.text.count(EVIL) > 10
    for alt in re.findall(r'alt="([^"]*)"', page):
        assert "<" not in alt


def test_nothing_outside_is_asked_for_and_every_element_is_closed(tmp_path):
    page = page_of(tmp_path, RUN, RUN | {"impl": "torch"}, details=judged(["a", "b"])[1])
    Outline(page)
    assert not re.search(r'(src|href)="(?!data:|#)[^"]*"', page)
    assert "url(" not in page.replace("url(#", "")
    assert page_of(tmp_path, RUN, RUN | {"impl": "torch"}, details=judged(["a", "b"])[1]) == page


@pytest.mark.parametrize("name", TASKS)
def test_each_task_says_how_its_figures_are_made(name, tmp_path):
    task = TASKS[name]
    figures = {h.metric: 0.5 for h in task.headlines}
    run = RUN | {"task": name, "title": task.title, "notes": list(task.notes), "metrics": figures,
                 "baselines": {h.baseline: 0.5 for h in task.headlines},
                 "headlines": [asdict(h) for h in task.headlines]}
    text = text_of(tmp_path, run)
    assert task.notes
    for sentence in (*task.notes, *(h.explanation for h in task.headlines)):
        assert sentence
        assert sentence in text
    for words in {"regression": ("least-squares", "largest absolute difference"),
                  "diabetes": ("11 trainings", "Wilson’s (1927)", "1,000 resamples of the rows",
                               "not measured", "median of the training rows", "standardised",
                               "Newton’s method", "log-odds"),
                  "mnist-mlp": ("Wilson’s (1927)", "linear classifier", "L2 penalty",
                                "most training items have"),
                  "mnist-cnn": ("Wilson’s (1927)", "linear classifier"),
                  "dexpression": ("K × R", "bootstrap over persons", "2,000 resamples", "recall",
                                  "moving average")}[name]:
        assert words in text


def test_the_page_says_what_holds_for_every_run(tmp_path):
    text = text_of(tmp_path, RUN)
    for words in ("the same initial weights", "evaluated after its last epoch", "is then discarded",
                  "does not include compilation", "Every interval is a 95% interval"):
        assert words in text


def test_version_date_and_each_command_are_on_the_page(tmp_path):
    other = RUN | {"impl": "torch", "command": "python -m comparisons run my_task.py --seed 3",
                   "date": "2032-01-01 00:00:00 +0000"}
    text = text_of(tmp_path, RUN, other)
    assert "minigrad 0.1.0, PyTorch 2.9, latest run finished 2032-01-01" in text
    for run in (RUN, other):
        assert run["date"] in text
        assert text.count(run["command"] + " ") >= 2        # in its section and at the end
    assert "my-task (PyTorch)" in text


def test_a_run_records_version_date_command_notes_and_memory(tmp_path):
    argv = ["run", "regression", "--impl", "minigrad", "--epochs", "1", "--out", str(tmp_path)]
    assert main(argv) == 0
    run = run_of(tmp_path, "regression", "minigrad")
    assert run["command"] == " ".join(["python", "-m", "comparisons", *argv])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}", run["date"])
    assert run["notes"] == list(TASKS["regression"].notes)
    assert 20 < run["rss_before_mb"] <= run["peak_rss_mb"]
    told = results(tmp_path)["environment"]
    assert re.fullmatch(r"\d+\.\d+.*", told["versions"]["minigrad"])
    assert told["peak_rss"] == environment.PEAK_RSS
    text = Outline((tmp_path / "report.html").read_text("utf-8")).text
    for words in (run["command"], run["date"], f"minigrad {told['versions']['minigrad']}"):
        assert words in text


def test_a_checkout_that_is_not_installed_knows_its_version(monkeypatch):
    def missing(package: str) -> str:
        raise environment.metadata.PackageNotFoundError(package)
    monkeypatch.setattr(environment.metadata, "version", missing)
    assert re.fullmatch(r"\d+\.\d+.*", environment.version("minigrad"))
    assert environment.version("torch") == "not installed"


def test_peak_memory_is_that_of_the_run_and_beside_what_was_held_before(tmp_path):
    environment.reset_peak_rss()
    before = environment.rss_mb()
    held = np.ones(20_000_000)
    assert environment.rss_mb() - before == pytest.approx(160, abs=8)
    del held
    assert environment.peak_rss_mb() - before == pytest.approx(160, abs=8)
    environment.reset_peak_rss()
    assert environment.peak_rss_mb() - before < 8
    text = text_of(tmp_path, RUN)
    assert "147 MB, of which 132 MB held before the run" in text
    assert environment.PEAK_RSS in text


def test_results_of_earlier_versions_are_still_shown(tmp_path):
    new = {"title", "headlines", "notes", "date", "command", "rss_before_mb"}
    old = {key: value for key, value in RUN.items() if key not in new}
    task = TASKS["regression"]
    text = text_of(tmp_path, old | {
        "task": "regression", "metrics": {"test_rmse": 0.5, "coefficient_error": 1e-15},
        "baselines": {"test_rmse_exact": 0.5, "coefficient_error": 0}})
    for words in (task.title, *task.notes, "147 MB", "not recorded"):
        assert words in text
    assert "147 MB, of which" not in text
    assert environment.PEAK_RSS not in text
    assert "my-task" in text_of(tmp_path, old)


def test_a_page_without_its_details_is_refused_in_one_line(tmp_path, capsys):
    page_of(tmp_path, RUN)
    (tmp_path / "my-task-minigrad" / "details.json").write_text(json.dumps(
        {"history": HISTORY, "coefficients": {"names": ["x"]}}))
    capsys.readouterr()
    assert main(["report", str(tmp_path)]) == 1
    assert "details.json: damaged: coefficients.learned: is missing" in one_line(capsys)


@pytest.mark.parametrize(("name", "drawn"), [
    ("\ud800", r"\ud800"), ("caf\udce9", r"caf\udce9"), ("a\nb", r"a\nb"),
    ("\x01\x7f", r"\x01\x7f"), ("狐", "狐"), ("🙂", "🙂"), ("$x_{", "$x_{"), ("", ""),
    ("l" * 300, "l" * 39 + "…")])
def test_names_of_any_characters_and_length_are_drawn(name, drawn, tmp_path):
    """Matplotlib refuses halves of pairs, and warns of what its font lacks and of labels that leave
    no room; here, warnings are errors."""
    details = judged([name, "plain"])[1] | {"coefficients": {
        "names": [name], "learned": [1.0], "exact": [1.0]}}
    text = text_of(tmp_path, RUN, details=details)
    for label in (drawn, f"{drawn}, 15"):
        assert label in text
    assert figures.coefficients({"minigrad": details}, "c").count(drawn) >= 1


def test_figures_say_what_their_axes_are():
    details = {"minigrad": {"calibration": {
        "predicted": [0.1, 0.9], "observed": [0.2, 0.8], "low": [0.1, 0.7], "high": [0.3, 0.9],
        "count": [5, 5]}, "fit": {"truth": [1, 2], "predicted": [1.5, 2]},
        "coefficients": {"names": ["x"], "learned": [1], "exact": [1], "half_width": [0.1]},
        "splits": [{"accuracy": 0.5, "count": 3}, {"accuracy": 0.7, "count": 3}]}}
    for draw, words in ((figures.calibration, ("predicted probability", "observed share")),
                        (figures.predicted, ("true value", "predicted value")),
                        (figures.coefficients, ("coefficient", "95% interval", "exact")),
                        (figures.split_accuracies, ("split",))):
        svg = draw(details, f"{draw.__name__} <&>")
        assert svg.startswith('<svg role="img" aria-label="')
        assert "<&>" not in svg
        for word in words:
            assert word in svg
