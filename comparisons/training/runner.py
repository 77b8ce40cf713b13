"""Runs tasks with each implementation: trains, saves checkpoints, evaluates, records results."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from comparisons import implementations
from comparisons.datasets.base import Data
from comparisons.datasets.levels import digest, inputs
from comparisons.errors import Fault, NotThereError, is_ours, one_line, where_in_a_task
from comparisons.files import make_folder
from comparisons.implementations import Implementation
from comparisons.tasks.kept import settings_of
from comparisons.tasks.options import Options
from comparisons.tasks.task import Details, Metrics, Recipe, Split, Task, Trained
from comparisons.training import environment, processes, seeds
from comparisons.training.checks import (
    HISTORY,
    finite,
    insist_on,
    load_checked,
    numbers,
    plain,
)
from comparisons.training.progress import Progress, Watched
from comparisons.training.results import Results
from comparisons.training.resuming import difference, history_of
from comparisons.training.training import Training, first_step, prepare
from minigrad import atomic, checkpoint
from minigrad.checkpoint import Checkpoint, CheckpointError

Say = Callable[[str], None]
Job = tuple[Task[Any], Options]         # a task, and the options it runs with
RECIPE = {f.name: f.default for f in fields(Recipe) if f.default is not MISSING}
"""The settings of a training of which older checkpoints know nothing."""
Explain = Callable[[Task[Any], Data, Sequence[Trained], Any], Details]


def run_jobs(jobs: Sequence[Job], impls: Sequence[str], results: Results, *, resume: bool = False,
             command: str = "", say: Say = print, explain: Explain | None = None, count: int = 1
             ) -> list[dict[str, Any]]:
    """Run each task with each implementation. A finished run is recorded at once.

    command: the command line, to be recorded. explain: returns further details of a finished run
    for the report, such as pictures. count: the number of seeds, from that of the options on.
    """
    # load all data before any training, so that missing data are reported at once
    loaded = load(jobs, say)
    with atomic.no_empty_folders(results.folder):
        make_folder(results.folder)
        with results.reserved((task.name, name) for task, _ in jobs for name in impls):
            return run_loaded(jobs, impls, results, loaded, resume, command, say, explain, count)


def run_loaded(jobs: Sequence[Job], impls: Sequence[str], results: Results,
               loaded: dict[Any, Data], resume: bool, command: str, say: Say,
               explain: Explain | None, count: int) -> list[dict[str, Any]]:
    """The same for jobs whose data are loaded, in a folder that is reserved for them."""
    done = []
    for task, options in jobs:
        data = loaded[source_of(task, options)]
        task = task.with_options(options)
        say(f"{task.title_for(data)}: {data.source}")
        for line in data.left_out:
            say(f"  left out: {line}")
        splits = task.splits(data, options)
        if getattr(options, "calibrate", None) and all(split.held is None for split in splits):
            raise Fault(f"--calibrate: the task {task.name} sets no items apart")
        for line in task.introduction(data, splits, options):
            say(f"  {line}")
        baselines = numbers(task, "baselines", task.baselines(data, splits))
        insist_on(task, "baselines", finite(task, "baselines", baselines),
                  [headline.baseline for headline in task.headlines])
        firsts: dict[str, seeds.First] = {}
        for name in impls:
            record, details, trained = run_once(task, options, data, splits, name,
                                                results.run_folder(task.name, name), resume)
            record |= {"baselines": baselines, "command": command}
            if resume:
                record |= seeds.finished(results, record)
            if explain is not None:
                details |= explain(task, data, trained, options)
            say(f"  {implementations.TITLES[name]}: {told(task, record)}, "
                f"{record['train_seconds']:.1f} s of training")
            results.add(record, details, environment.describe())
            done.append(record)
            for line in task.remarks(record["metrics"], details):
                say(f"    {line}")
            firsts[name] = record, details
        if count > 1:
            seeds.with_further(count, task, options, data, splits, firsts, results, resume,
                               partial(run_once, task), say)
    return done


def run_once(task: Task[Any], options: Options, data: Data, splits: Sequence[Split], name: str,
             folder: Path, resume: bool) -> tuple[dict[str, Any], Details, list[Trained]]:
    """Train and evaluate once; see `Run`."""
    run = Run(task, implementation_for(task, name, options), data, splits, options, folder,
              resume)
    # too high a learning rate leads to an overflow, which `insist_on_finite` reports
    with np.errstate(over="ignore", invalid="ignore"):
        return run()


def source_of(task: Task[Any], options: Options) -> tuple[Any, ...]:
    """What determines the data of a job. It is equal for the two MNIST tasks."""
    common = tuple(getattr(options, f.name) for f in fields(Options))
    return task.shares_data or (task.name, repr(options)), type(task).load, common


def load(jobs: Sequence[Job], say: Say = print) -> dict[Any, Data]:
    """The data of the jobs, by `source_of`.

    --data must contain data for at least one of the tasks; the others are run without it.
    """
    loaded: dict[Any, Data] = {}
    lacking: dict[Any, tuple[Job, NotThereError]] = {}
    for task, options in jobs:
        source = source_of(task, options)
        if source not in loaded | lacking:
            try:
                loaded[source] = load_checked(task, options)
            except NotThereError as error:
                lacking[source] = (task, options), error
    used = any(task.reads and source_of(task, options) in loaded for task, options in jobs)
    if lacking and not used:
        raise NotThereError("; ".join(str(missing) for _, missing in lacking.values()))
    for source, ((task, options), _) in lacking.items():
        loaded[source] = load_checked(task, replace(options, data=None))
        say(f"{task.title}: --data {options.data} holds nothing for it; it uses what is found "
            "without --data")
    return loaded


def implementation_for(task: Task[Any], name: str, options: Options) -> Implementation:
    """An implementation that computes as the options say, as far as the task lets it."""
    if not task.any_device:
        return implementations.get(name, "cpu", compile=options.compile)
    return implementations.get(name, options.device, options.amp, options.compile)


def train_along(tasks: Sequence[Task[Any]]) -> None:
    """Take part in the runs of another process, the leader; see `processes`."""
    named = {task.name: task for task in tasks}
    loaded: dict[Any, Data] = {}

    def train(order: processes.Order) -> None:
        task, options = named[order.task], order.options
        source = source_of(task, options)
        if source not in loaded:
            try:
                loaded[source] = load_checked(task, options)
            except NotThereError:       # as `load` does; if the leader has other data, it is told
                loaded[source] = load_checked(task, replace(options, data=None))
        run = Run(task.with_options(options), implementation_for(task, "torch", options),
                  loaded[source], task.splits(loaded[source], options), options, order.folder,
                  order.resume)
        with np.errstate(over="ignore", invalid="ignore"):
            run.follow()
    processes.follow(train)


def told(task: Task[Any], record: dict[str, Any]) -> str:
    """The metrics of a run, and what its test images share with training, in one line."""
    figures = [f"{h.label} {record['metrics'][h.metric]:{h.format}}" for h in task.headlines]
    figures += [f"{kind} overlap {record['metrics'][f'{kind}_overlap']:.1%}"
                for kind in ("person", "clip") if f"{kind}_overlap" in record["metrics"]]
    return ", ".join(figures)


@dataclass
class Run:
    """One task with one implementation: a training for each split, and their evaluation."""

    task: Task[Any]
    impl: Implementation
    data: Data
    splits: Sequence[Split]
    options: Options
    folder: Path
    resume: bool
    history: list[dict[str, Any]] = field(default_factory=list)
    continued: Path | None = None           # the checkpoint that the current training began with

    def __call__(self) -> tuple[dict[str, Any], Details, list[Trained]]:
        """Train; return the record for results.json, the report's details, and the trainings."""
        recipe = self.recipe(self.splits[0])
        if not self.resume:             # remove what an earlier run has left
            for path in processes.foreign(self.folder):
                path.unlink()
            self.resume = bool(processes.mark())    # what is still there is from before a restart
        processes.announce(processes.Order(self.task.name, self.options, self.folder.resolve(),
                                           self.resume))
        environment.reset_peak_rss()
        before, start = environment.rss_mb(), time.perf_counter()
        first_step(self.task, self.impl, self.data, self.splits[0], self.options,
                   self.options.seed)
        warm_up = time.perf_counter() - start
        steps = sum(math.ceil(len(s.x) / self.recipe(s).batch_size) for s in self.splits)
        progress = Progress(f"{self.task.name} ({self.impl.title})", recipe.epochs,
                            steps * recipe.epochs)
        try:
            trained = [self.train(k, split, progress) for k, split in enumerate(self.splits)]
        finally:
            progress.close()
        metrics, details = self.task.judge(self.data, trained)
        metrics = numbers(self.task, "judge", metrics)
        insist_on(self.task, "judge", metrics, [h.metric for h in self.task.headlines])
        self.insist_on_finite(metrics, "after the last epoch")
        details = plain(self.task, details)
        for k, learned in enumerate(self.task.learned_about(self.data, trained)):
            self.remember(k, learned)
        record = self.record(recipe, metrics) | {
            "warm_up_seconds": round(warm_up, 3), "rss_before_mb": round(before, 1),
            "peak_rss_mb": round(environment.peak_rss_mb(), 1)}
        return record, details | {"history": self.history}, trained

    def record(self, recipe: Recipe, metrics: Metrics) -> dict[str, Any]:
        """The entry of the run in results.json: its settings and its results."""
        task, options = self.task, self.options
        return {
            "task": task.name, "title": task.title_for(self.data), "impl": self.impl.name,
            "dataset": self.data.name, "source": self.data.source, "seed": options.seed,
            "epochs": recipe.epochs, "batch_size": recipe.batch_size, "lr": recipe.lr,
            "clip_norm": recipe.clip_norm, "accumulate": recipe.accumulate,
            "quick": options.quick, **self.impl.settings, **options.own(),
            "n_train": len(self.splits[0].x),
            "n_test": len(np.unique(np.concatenate([s.test_rows for s in self.splits]))),
            "trainings": len(self.splits), "metrics": metrics,
            "headlines": [asdict(headline) for headline in task.headlines],
            "notes": list(task.notes),
            "train_seconds": round(sum(e["seconds"] for e in self.history), 3),
            "checkpoint": f"{self.folder.name}/{self.last.name}",
            "date": time.strftime("%Y-%m-%d %H:%M:%S %z")}

    def recipe(self, split: Split) -> Recipe:
        return self.task.recipe(self.options, len(split.x))

    def follow(self) -> None:
        """Train along with the leader of several processes."""
        first_step(self.task, self.impl, self.data, self.splits[0], self.options,
                   self.options.seed)
        for k, split in enumerate(self.splits):
            self.fit(k, split, Progress("", 0, 0, shown=False))

    def train(self, k: int, split: Split, progress: Progress) -> Trained:
        """Train on one split, and evaluate what was trained."""
        training = self.fit(k, split, progress)
        if k + 1 < len(self.splits) and not self.finished(k).exists():
            self.last.replace(self.finished(k))
        held = None if split.held is None else training.outputs(split.held.x)
        return Trained(split, self.impl.weights(training.judged), training.outputs(split.x_test),
                       held)

    def fit(self, k: int, split: Split, progress: Progress) -> Training:
        """Train on one split, from its checkpoint if there is one, and save checkpoints."""
        training = prepare(self.task, self.impl, self.data, split, self.options,
                           self.options.seed + k)
        config = self.config(k, split)
        history: list[dict[str, Any]] = []
        processes.gathered(k)           # the leader has put the last checkpoint in its place
        start = self.restored(k, training, config, history)
        processes.insist_on_agreement(self.last, config, start)
        unsaved: list[Checkpoint] = []          # the state after the last epoch, if any
        progress.skip(start * len(training.loader))

        def on_epoch(epoch: int, mean_loss: float, seconds: float) -> None:
            when = f"in epoch {epoch + 1}"
            self.insist_on_finite({"loss": mean_loss}, when)
            watched = numbers(self.task, "watch",
                              self.task.watch(self.impl, training.judged, split), HISTORY)
            self.insist_on_finite(watched, when)
            entry = {"fold": k, "epoch": epoch, "loss": float(mean_loss), "seconds": seconds,
                     **watched}
            if history and history[0].keys() != entry.keys():
                raise Fault(f"{self.last}: its history records {', '.join(history[0])}, but this "
                            f"run {', '.join(entry)}")
            history.append(entry)
            progress.epoch(split.title, entry)
            done = epoch + 1
            unsaved[:] = [self.impl.checkpoint.state(
                self.last, **training.states, epoch=done, step=done * len(training.loader),
                config=config)]
            if done % self.task.checkpoint_every == 0 or done == training.recipe.epochs:
                self.save(unsaved, history)
            else:
                unsaved[:] = copy.deepcopy(unsaved)

        try:
            if start < training.recipe.epochs:
                training.fit(Watched(training.loader, progress), start, on_epoch)
        except KeyboardInterrupt:
            self.save(unsaved, history)
            raise
        except Exception as error:
            if self.continued is None or is_ours(error) or where_in_a_task(error):
                raise
            raise Fault(f"{self.continued}: the training that it holds cannot be continued: "
                        f"{one_line(error)}") from error
        self.history += history
        return training

    def insist_on_finite(self, figures: Metrics, when: str) -> None:
        """Raises: Fault if a loss or a metric has become infinite or NaN."""
        for name, value in figures.items():
            if not math.isfinite(value):
                lr = self.recipe(self.splits[0]).lr
                after = f", continued from {self.continued}" if self.continued else ""
                raise Fault(f"{self.task.name} ({self.impl.title}){after}: the "
                            f"{name.replace('_', ' ')} became {value} {when}; try a smaller --lr "
                            f"than {lr:g}")

    # ---- checkpoints -----------------------------------------------------------------------------

    @property
    def last(self) -> Path:
        """The checkpoint of the current or the last training."""
        return self.folder / "last.safetensors"

    @property
    def previous(self) -> Path:
        """The checkpoint before the last one."""
        return self.folder / "previous.safetensors"

    def finished(self, k: int) -> Path:
        """The checkpoint of a finished training that is not the last one."""
        return self.folder / f"fold-{k + 1}.safetensors"

    def save(self, unsaved: list[Checkpoint], history: list[dict[str, Any]]) -> None:
        """Write the state that has not been saved yet, if there is one; keep the one before."""
        for state in unsaved:
            known = [entry for entry in history if entry["epoch"] < state.epoch]
            with atomic.no_empty_folders(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                if self.last.exists():
                    atomic.keep(self.last, self.previous)
                self.impl.checkpoint.write(replace(
                    state, config=(state.config or {}) | {"history": known} | processes.mark()))
        unsaved.clear()

    def remember(self, k: int, learned: dict[str, Any]) -> None:
        """Add to the configuration in the checkpoint of a finished training."""
        if learned:
            kept = checkpoint.load(self.finished(k) if k + 1 < len(self.splits) else self.last)
            checkpoint.write(replace(kept, config=(kept.config or {}) | learned))

    def config(self, k: int, split: Split) -> dict[str, Any]:
        """The description of a training in its checkpoint: enough to use or resume it."""
        return {"task": self.task.name, "dataset": self.data.name, "n_train": len(split.x),
                "shape": list(split.x.shape[1:]), "classes": list(self.data.classes),
                "training": k, **asdict(self.recipe(split)),
                # with other images or other folds, it is another training
                "data": digest((split.x, split.y, split.train_rows, split.test_rows)),
                "options": self.options.kept(), "amp": self.impl.settings.get("amp", False),
                **({} if self.data.encoding is None else {"encoding": self.data.encoding}),
                **({} if (dtype := inputs(split.x[:0]).dtype).kind == "f"
                   else {"input_dtype": str(dtype)}),
                **({} if split.y.ndim < 2 or split.y.shape[1] == 1
                   else {"target_shape": list(split.y.shape[1:])})}

    def restored(self, k: int, training: Training, config: dict[str, Any],
                 history: list[dict[str, Any]]) -> int:
        """The number of finished epochs; with --resume, the state after them is restored."""
        self.continued = None
        if not self.resume:
            return 0
        for path in (self.finished(k), self.last, self.previous):
            if not path.exists():
                continue
            try:
                kept = self.impl.checkpoint.load(path)
            except CheckpointError as error:
                if path != self.last or not self.previous.exists():
                    raise
                raise Fault(f"{error}; without it, --resume continues from {self.previous.name}"
                            ) from None
            known = settings_of(kept)
            if known.get("training", k) != k:
                continue                # another training of this run
            if differs := difference(known, config, self.options.defaults() | RECIPE):
                raise Fault(f"{path}: cannot be resumed, because it was trained with {differs}")
            history[:] = history_of(kept, k, training.recipe.epochs)
            self.impl.checkpoint.restore(kept, **training.states)
            self.continued = path
            return int(kept.epoch)
        return 0
