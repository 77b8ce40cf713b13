"""Training: every task with every implementation, checkpointed, judged and put in the results."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from comparisons import environment, implementations, saliency
from comparisons.datasets import Data, NotThereError
from comparisons.implementations import Implementation
from comparisons.progress import Progress, Watched
from comparisons.results import Results
from comparisons.task import Fault, Loss, Options, Recipe, Split, Task, Trained
from minigrad.checkpoint import Checkpoint
from minigrad.data import ArrayDataset, DataLoader

Say = Callable[[str], None]


def run_tasks(tasks: Sequence[Task], impls: Sequence[str], options: Options, results: Results, *,
              resume: bool = False, say: Say = print) -> list[dict[str, Any]]:
    """Run each task with each implementation; every finished run is in the results at once."""
    # all data before any training: what is missing should show at once
    loaded = load(tasks, options)
    results.make_folder()
    done = []
    for task in tasks:
        data = loaded[type(task).load]
        say(f"{task.title}: {data.source}")
        for line in data.left_out:
            say(f"  left out: {line}")
        splits = task.splits(data, options)
        for line in task.introduction(data, splits, options):
            say(f"  {line}")
        baselines = task.baselines(data, splits)
        for name in impls:
            run = Run(task, implementation_for(task, name, options.device), data, splits, options,
                      results.run_folder(task.name, name), resume)
            # a rate that is too high overflows, and ends in one line: NumPy need not warn as well
            with np.errstate(over="ignore", invalid="ignore"):
                record, details = run()
            results.add(record | {"baselines": baselines}, details, environment.describe())
            done.append(record | {"baselines": baselines})
            say(f"  {implementations.TITLES[name]}: {told(task, record)}, "
                f"{record['train_seconds']:.1f} s of training")
            for line in task.remarks(record["metrics"], details):
                say(f"    {line}")
    return done


def load(tasks: Sequence[Task], options: Options) -> dict[Any, Data]:
    """The tasks' data by loader, as the two MNIST tasks share theirs.

    --data must hold something for one of the tasks; the others then do as without it.
    """
    loaded: dict[Any, Data] = {}
    lacking: dict[Any, tuple[Task, NotThereError]] = {}
    for task in tasks:
        if type(task).load not in loaded | lacking:
            try:
                loaded[type(task).load] = task.load(options)
            except NotThereError as error:
                lacking[type(task).load] = task, error
    used = any(task.reads_data and type(task).load in loaded for task in tasks)
    for loader, (task, error) in lacking.items():
        if not used:
            raise error
        loaded[loader] = task.load(replace(options, data=None))
    return loaded


def implementation_for(task: Task, name: str, device: str) -> Implementation:
    # the float64 tasks are tiny and want exactness, and not every device has float64
    return implementations.get(name, "cpu" if task.dtype == np.float64 else device)


def told(task: Task, record: dict[str, Any]) -> str:
    figures = [f"{h.label} {record['metrics'][h.metric]:{h.format}}" for h in task.headlines]
    figures += [f"{kind} overlap {record['metrics'][f'{kind}_overlap']:.1%}"
                for kind in ("person", "clip") if f"{kind}_overlap" in record["metrics"]]
    return ", ".join(figures)


@dataclass(frozen=True)
class Parts:
    """Everything that trains one split."""

    recipe: Recipe
    model: Any
    loader: DataLoader
    loss: Loss
    optimizer: Any
    scheduler: Any
    averaged: Any                   # an AveragedModel of the model, or None

    @property
    def judged(self) -> Any:
        """The model that a finished training is judged by."""
        return self.model if self.averaged is None else self.averaged.module


def prepare(task: Task, impl: Implementation, data: Data, split: Split, options: Options,
            seed: int) -> Parts:
    """A training as the task describes it, ready to begin."""
    recipe = task.recipe(options, len(split.x))
    model = impl.new_model(lambda models: task.model(models, data, options), seed, task.dtype)
    if options.start is not None:
        kept = impl.checkpoint.load(options.start)
        impl.checkpoint.restore(Checkpoint(kept.path, kept.weights), model=model)
    loader = DataLoader(ArrayDataset(split.x, split.y), recipe.batch_size, task.shuffle,
                        seed=seed, transform=task.transform())
    optimizer = task.optimizer(impl.optim, model.parameters(), recipe)
    scheduler = task.scheduler(impl.optim, optimizer, recipe, recipe.epochs * len(loader))
    swa = impl.optim.swa_utils
    averaged = None
    if task.averaging is not None:
        # in a short training, too, it has forgotten the first weights: it is of the last fifth
        decay = max(0.0, min(task.averaging, 1 - 5 / (recipe.epochs * len(loader))))
        averaged = swa.AveragedModel(model, multi_avg_fn=swa.get_ema_multi_avg_fn(decay),
                                     use_buffers=True)
    loss = task.loss(impl, data, split.y)
    return Parts(recipe, model, loader, loss, optimizer, scheduler, averaged)


class Run:
    """One task with one implementation: its trainings, one a split, and their verdict."""

    def __init__(self, task: Task, implementation: Implementation, data: Data,
                 splits: Sequence[Split], options: Options, folder: Path, resume: bool) -> None:
        self.task, self.impl, self.data = task, implementation, data
        self.splits, self.options, self.folder, self.resume = splits, options, folder, resume
        self.last = folder / "last.safetensors"
        self.history: list[dict[str, Any]] = []

    def __call__(self) -> tuple[dict[str, Any], dict[str, Any]]:
        task, options = self.task, self.options
        recipe = task.recipe(options, len(self.splits[0].x))
        for path in self.folder.glob(".*.safetensors.*.tmp"):   # of a run killed as it wrote
            path.unlink()
        if not self.resume:             # what an earlier run left is not this one's
            for path in self.folder.glob("fold-*.safetensors"):
                path.unlink()
        environment.reset_peak_rss()
        warm_up = self.warm_up(recipe)
        steps = sum(math.ceil(len(s.x) / task.recipe(options, len(s.x)).batch_size)
                    for s in self.splits)
        progress = Progress(f"{task.name} ({self.impl.title})", recipe.epochs,
                            steps * recipe.epochs)
        try:
            trained = [self.train(k, split, progress) for k, split in enumerate(self.splits)]
        finally:
            progress.close()
        metrics, details = task.judge(self.data, trained)
        self.insist_on_finite(metrics, recipe.epochs - 1)
        record = {
            "task": task.name, "impl": self.impl.name, "dataset": self.data.name,
            "source": self.data.source, "seed": options.seed, "epochs": recipe.epochs,
            "batch_size": recipe.batch_size, "lr": recipe.lr, "quick": options.quick,
            "device": self.impl.device, "n_train": len(self.splits[0].x),
            "n_test": len(np.unique(np.concatenate([s.test_rows for s in self.splits]))),
            "trainings": len(self.splits), "metrics": metrics,
            "train_seconds": round(sum(e["seconds"] for e in self.history), 3),
            "warm_up_seconds": round(warm_up, 3),
            "peak_rss_mb": round(environment.peak_rss_mb(), 1),
            "checkpoint": f"{self.folder.name}/{self.last.name}"}
        details |= saliency.pictures(task, self.data, trained, options)
        return record | task.particulars(options), details | {"history": self.history}

    def parts(self, k: int, split: Split) -> Parts:
        return prepare(self.task, self.impl, self.data, split, self.options, self.options.seed + k)

    def warm_up(self, recipe: Recipe) -> float:
        """Compile, outside the clock: a step and a prediction of a model that is thrown away."""
        start = time.perf_counter()
        split = self.splits[0]
        first = replace(split, x=split.x[:recipe.batch_size], y=split.y[:recipe.batch_size])
        parts = self.parts(0, first)
        self.impl.fit(parts.model, parts.loader, parts.loss, parts.optimizer, epochs=1,
                      averaged=parts.averaged)
        self.task.outputs(self.impl, parts.judged, split.x_test[:recipe.batch_size])
        return time.perf_counter() - start

    def train(self, k: int, split: Split, progress: Progress) -> Trained:
        task, impl, parts = self.task, self.impl, self.parts(k, split)
        loader, recipe, model = parts.loader, parts.recipe, parts.judged
        states = {"model": parts.model, "optimizer": parts.optimizer,
                  "scheduler": parts.scheduler, "averaged": parts.averaged}
        config = {"task": task.name, "dataset": self.data.name, "n_train": len(split.x),
                  "shape": list(split.x.shape[1:]), "classes": list(self.data.classes),
                  "training": k, **asdict(recipe), "data": digest(split), "options": {
                      key: getattr(self.options, key) for key in
                      ("seed", "quick", "protocol", "folds", "repeats", "size", "frames",
                       "variant", "casts", "start")}}
        history: list[dict[str, Any]] = []
        start = self.restored(k, states, config, history)
        progress.skip(start * len(loader))

        def on_epoch(epoch: int, mean_loss: float, seconds: float) -> None:
            self.insist_on_finite({"loss": mean_loss}, epoch)
            entry = {"fold": k, "epoch": epoch, "loss": float(mean_loss),
                     "seconds": seconds, **task.watch(impl, model, split)}
            self.insist_on_finite(entry, epoch)
            history.append(entry)
            progress.epoch(split.title, entry)
            if (epoch + 1) % task.checkpoint_every == 0 or epoch + 1 == recipe.epochs:
                self.folder.mkdir(parents=True, exist_ok=True)
                impl.checkpoint.save(
                    self.last, **states, epoch=epoch + 1, step=(epoch + 1) * len(loader),
                    config=config | {"history": history})

        if start < recipe.epochs:
            impl.fit(parts.model, Watched(loader, progress), parts.loss, parts.optimizer,
                     epochs=recipe.epochs, scheduler=parts.scheduler, averaged=parts.averaged,
                     start_epoch=start, on_epoch=on_epoch)
        if k + 1 < len(self.splits) and not self.finished(k).exists():
            self.last.replace(self.finished(k))
        self.history += history
        return Trained(split, impl.weights(model), task.outputs(impl, model, split.x_test))

    def insist_on_finite(self, figures: dict[str, Any], epoch: int) -> None:
        for name, value in figures.items():
            if not math.isfinite(value):
                lr = self.task.recipe(self.options, len(self.splits[0].x)).lr
                raise Fault(f"{self.task.name} ({self.impl.title}): the {name.replace('_', ' ')} "
                            f"became {value} in epoch {epoch + 1}; try a smaller --lr than {lr:g}")

    def finished(self, k: int) -> Path:
        return self.folder / f"fold-{k + 1}.safetensors"

    def restored(self, k: int, states: dict[str, Any], config: dict[str, Any],
                 history: list[dict[str, Any]]) -> int:
        """How many epochs are done already; with --resume, the state after them is put back."""
        if not self.resume:
            return 0
        for path in (self.finished(k), self.last):
            if not path.exists():
                continue
            kept = self.impl.checkpoint.load(path)
            known = dict(kept.config or {})
            history[:] = known.pop("history", [])
            if known.get("training", k) != k:
                history.clear()
                continue                # another training of this run
            if known != config:
                raise Fault(f"{path}: cannot be resumed, {difference(known, config)}")
            self.impl.checkpoint.restore(kept, **states)
            return int(kept.epoch)
        return 0


def digest(split: Split) -> str:
    """What a split holds, in a word: other images or other folds are another training."""
    sha = hashlib.sha256()
    for array in (split.x, split.y, split.train_rows, split.test_rows):
        sha.update(np.ascontiguousarray(array))
    return sha.hexdigest()[:16]


def difference(known: dict[str, Any], asked: dict[str, Any]) -> str:
    """The first setting in which a checkpoint and what is asked for differ, in words."""
    known, asked = ({**c, **c.get("options", {})} for c in (known, asked))
    for key, value in asked.items():
        if key != "options" and known.get(key) != value:
            return f"it was trained with {key} {known.get(key)}, not {value}"
    return "it was trained with other settings"
