"""Recipes: what they train with, and that an ingredient that is left out is not there."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from comparisons import implementations
from comparisons.cli import main
from comparisons.datasets.mnist import load_subset
from comparisons.errors import Fault
from comparisons.tasks.dexpression import DexpressionTask
from comparisons.tasks.ingredients import Ingredients, RecipeOptions, several
from comparisons.tasks.mnist_cnn import CnnOptions, MnistCnnTask
from comparisons.tasks.mnist_mlp import MlpOptions, MnistMlpTask
from comparisons.tasks.registry import TASKS
from comparisons.training.results import Results
from comparisons.training.training import prepare

TASKS_WITH_RECIPES = [task for task in TASKS.values() if issubclass(task.options, RecipeOptions)]


EVERY = [pytest.param(task, options, name, id=f"{task.name}-{options.variant}-{name}")
         for task in TASKS_WITH_RECIPES
         for options in map(task.options.restored, (
             {"variant": word} for word in task.options.flags()["variant"].choices))
         for name in task.with_options(options).ingredients.present()]


def built(task, options, data):
    """What a training consists of, as far as a recipe decides: changes of it are visible."""
    split = task.splits(data, options)[0]
    training = prepare(task, implementations.get("minigrad"), data, split, options, 0)
    x = next(iter(training.loader))[0]
    logits = training.implementation.tensor(np.eye(len(data.classes), dtype=np.float32)[:2])
    model = training.model.train()
    loss = training.loss(logits, training.implementation.tensor(np.array([0, 2])))
    return {
        "batch": x, "views": len(training.task.views(x)), "averaged": training.averaged is not None,
        "rates": training.scheduler is not None, "loss": float(loss.item()),
        "decay": training.optimizer.param_groups[0]["weight_decay"],
        "dropout": [m.p for m in model.modules() if type(m).__name__ == "Dropout"],
        "norms": sum("BatchNorm" in type(m).__name__ for m in model.modules()),
        "notes": training.task.notes}


SHOWS = {"cycle": "rates", "weight_decay": "decay", "smoothing": "loss", "dropout": "dropout",
         "norm": "norms",
         "averaging": "averaged", "affine": "batch", "elastic": "batch",
         "flip": "batch", "light": "batch", "noise": "batch", "cutout": "batch",
         "balance": "loss", "mirror": "views"}


@pytest.fixture(scope="module")
def known():
    digits = load_subset()
    digits = replace(digits, x=digits.x[:40], y=digits.y[:40], x_test=digits.x_test[:8],
                     y_test=digits.y_test[:8])
    faces = TASKS["dexpression"].load(DexpressionTask.options(size=16, embedded=True))
    return {"mnist-mlp": digits, "mnist-cnn": digits, "dexpression": faces}


@pytest.mark.parametrize(("task", "options", "name"), EVERY)
def test_an_ingredient_that_is_left_out_is_not_there(task, options, name, known):
    if task.name == "dexpression":
        options = replace(options, size=16)
    whole = built(task, options, known[task.name])
    less = built(task, replace(options, without=(name,)), known[task.name])
    assert not np.array_equal(whole[SHOWS[name]], less[SHOWS[name]])
    if name not in ("weight_decay",):
        assert whole["notes"] != less["notes"]      # the report does not claim it any more
    for other in {"rates", "decay", "averaged", "dropout", "norms", "views"} - {SHOWS[name]}:
        assert whole[other] == less[other]


def test_every_ingredient_has_a_test():
    names = {f.name for task in TASKS_WITH_RECIPES for f in fields(task.ingredients)}
    assert names - {"epochs", "batch_size", "lr", "hidden"} == SHOWS.keys()


def test_what_is_no_ingredient_cannot_be_left_out():
    recipe = MnistMlpTask().ingredients
    assert issubclass(type(recipe), Ingredients)
    with pytest.raises(Fault, match="--without: affine is no ingredient of this recipe; it has "
                                    "cycle, weight_decay, smoothing, dropout"):
        recipe.without(["dropout", "affine"])
    assert several(" a, b,a ") == ("a", "b")
    with pytest.raises(ValueError, match="expected names with commas between them; got 'a,,b'"):
        several("a,,b")


def test_the_task_itself_stays_as_it_is():
    task = MnistCnnTask()
    chosen = task.with_options(CnnOptions(variant="strong", without=("averaging",)))
    assert chosen.averaging is None
    assert task.averaging is not None
    assert chosen.with_options(CnnOptions()).epochs == task.epochs != chosen.epochs


def test_both_implementations_train_alike_with_dropout(tmp_path, capsys):
    """The loss of each epoch: with masks of their own, it would differ by percents."""
    assert main(["run", "mnist-mlp", "--quick", "--epochs", "3", "--out", str(tmp_path)]) == 0
    results = Results(tmp_path)
    ours, theirs = ([epoch["loss"] for epoch in results.details(run)["history"]]
                    for run in results.runs)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    assert "hidden values are set to zero" in (tmp_path / "report.html").read_text()


def test_a_variant_is_trained_kept_and_read_again(tmp_path, capsys):
    out = ["--impl", "minigrad", "--quick", "--out", str(tmp_path)]
    strong = ["--variant", "strong", "--without", "elastic,smoothing"]
    assert main(["run", "mnist-cnn", *strong, *out]) == 0
    run, = Results(tmp_path).runs
    assert run["variant"] == "strong"
    assert run["without"] == ["elastic", "smoothing"]
    assert "convolutional network, strong" in run["title"]
    capsys.readouterr()
    assert main(["run", "mnist-cnn", "--resume", *out]) == 1
    assert "variant" in capsys.readouterr().err
    path = tmp_path / "mnist-cnn-minigrad" / "last.safetensors"
    assert main(["export", str(path), str(tmp_path / "net.onnx")]) == 0
    assert "several of its outputs" not in capsys.readouterr().out
    assert main(["run", "mnist-cnn", "--variant", "deep"]) == 2
    assert "invalid choice: 'deep' (choose from simple, strong)" in capsys.readouterr().err
    assert main(["run", "mnist-cnn", "--quick", "--without", "dropout"]) == 1
    assert "--without: dropout is no ingredient of this recipe" in capsys.readouterr().err


def test_a_checkpoint_from_before_the_recipes_fits(tmp_path, capsys):
    """It knows neither variant nor dropout, and its layers have the same names."""
    task = MnistMlpTask()
    made = task.model(implementations.get("minigrad"), load_subset(), MlpOptions.restored({}))
    assert list(made.state_dict()) == ["layers.0.weight", "layers.0.bias", "layers.2.weight",
                                       "layers.2.bias"]
