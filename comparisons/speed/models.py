"""Training steps of every model: in minigrad, in PyTorch, and in PyTorch with torch.compile.

A step is zero_grad, forward, loss, backward and an Adam step, in float32. All sides start from the
same weights and see the same batch, and their first losses are compared, because the time of a step
means nothing if its result is wrong. Compilation and the first steps (the warm-up) are not timed.

Memory is the peak of a new process that takes a few steps with one implementation alone: the whole
peak, and the part above what the process held before. "Before" means after a few steps of a small
network with one image, so that this part does not include the size of PyTorch or Numba themselves.
"""

from __future__ import annotations

import functools
import logging
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import numpy as np

import minigrad
from comparisons import implementations
from comparisons.datasets.base import Array, Data
from comparisons.datasets.levels import inputs
from comparisons.speed.clock import in_turn, quartiles, repeated, spread
from comparisons.tasks.registry import find
from comparisons.tasks.task import Split
from comparisons.training import environment
from comparisons.training.checks import load_checked
from comparisons.training.training import Training, prepare, switch_off_dropout

WARM_UP, SECONDS = 3, 5.0               # steps that are not timed; seconds to spend on each model
LOSS_BOUND = 0.05                       # as a share of how far the loss moves in the warm-up
ADAM_LR = 1e-3
SIDES = ("minigrad", "torch", "compiled")
BATCH = 100                             # of a case that names none
FACES = 48                              # pixels; larger images are enlarged from this size

Step = Callable[[], float]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Case:
    """A model, and the size of the batch that it is trained on.

    task: its name, or the file that defines it. size, variant: of the images, in pixels, and of the
    network, if the task offers a choice.
    """

    task: str
    batch: int = BATCH
    size: int | None = None
    variant: str | None = None

    @property
    def title(self) -> str:
        """The task's name and, if there is a choice, the network's."""
        network = [f"{self.variant} {self.size} px"] if self.size else []
        return " ".join([find(self.task).name, *network])


CASES = (Case("regression"), Case("diabetes"), Case("mnist-mlp"), Case("mnist-cnn"),
         Case("dexpression", 32, 48, "compact"), Case("dexpression", 32, 48, "paper"),
         Case("dexpression", 32, 96, "paper"), Case("dexpression", 16, 224, "paper"),
         Case("dexpression", 32, 224, "paper"))
LOADED = Case("mnist-cnn", 1)           # its steps load everything that a process needs


def batch_of(case: Case, seed: int) -> Data:
    """The first rows of the case's training set, as data of their own."""
    data, split = training_set(case, seed)
    x, y = inputs(split.x[:case.batch]).astype(np.float32), split.y[:case.batch]
    if case.size not in (None, FACES):
        from minigrad.functional import interpolate
        x = interpolate(x, size=(case.size, case.size), mode="bilinear").numpy()
    return replace(data, x=x, y=y.astype(np.float32) if y.dtype.kind == "f" else y,
                   x_test=x[:0], y_test=y[:0])


def training_set(case: Case, seed: int) -> tuple[Data, Split]:
    """The data of a case's task and its first split, read once for all sizes."""
    return _training_set(case.task, FACES if case.size else None, seed)


@functools.lru_cache
def _training_set(word: str, size: int | None, seed: int) -> tuple[Data, Split]:
    task = find(word)
    chosen = {} if size is None else {"size": size}
    options = task.options(embedded=True, seed=seed, **chosen)
    data = load_checked(task, options)
    return data, task.splits(data, options)[0]


def build(case: Case, data: Data, impl_name: str, seed: int) -> Training:
    """A training on a batch, in float32 and with Adam, whatever the task itself uses."""
    task, implementation = find(case.task), implementations.get(impl_name, "cpu")
    chosen = {} if case.variant is None else {"variant": case.variant}
    rows = np.arange(len(data.x))
    batch = Split(data.x, data.y, data.x[:0], data.y[:0], rows, rows[:0])
    training = prepare(task, implementation, data, batch, task.options(**chosen), seed)
    model = training.model.float()
    switch_off_dropout(model)           # the losses of all sides are compared
    return replace(training, model=model, scheduler=None, averaged=None,
                   optimizer=implementation.optim.Adam(model.parameters(), lr=ADAM_LR))


def stepper(case: Case, data: Data, side: str, seed: int) -> Step:
    """A function that takes one training step and returns its loss.

    side: "minigrad", or "recorded", as minigrad.compile makes it; "torch", or "compiled".
    """
    training = build(case, data, "torch" if side in ("torch", "compiled") else "minigrad", seed)
    model, loss_of, optimizer = training.model, training.loss, training.optimizer
    x, y = (training.implementation.tensor(array) for array in (inputs(data.x), data.y))
    if side == "compiled":
        model = compiled(model)

    def step() -> Any:
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        return loss
    run = minigrad.compile(step) if side == "recorded" else step
    return lambda: float(run().item())


def compiled(model: Any) -> Any:
    """PyTorch's model as torch.compile makes it. It is compiled when it is first called."""
    import torch
    # on a machine without CUDA, its absence would be logged in the middle of the table
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    torch.compiler.reset()              # past a limit of recompilations it would run eagerly
    # fullgraph: what cannot be compiled is an error, instead of being run eagerly
    return torch.compile(model, fullgraph=True, dynamic=False)


def measure(case: Case, seed: int, sides: Sequence[str] = SIDES, seconds: float = SECONDS
            ) -> dict[str, Any]:
    """The times of each side in ms, ratios of medians, and the difference of the losses.

    If torch.compile fails, the row contains the reason instead of the times.
    """
    data = batch_of(case, seed)
    steps = {side: stepper(case, data, side, seed) for side in sides}
    losses, failed = warmed_up(steps)
    block, times = in_turn({side: repeated(steps[side]) for side in losses}, seconds)
    row: dict[str, Any] = asdict(case) | {
        "title": case.title, "threads": environment.threads(), "steps_a_round": block,
        "rounds": len(times["minigrad"]), "loss_difference": difference(losses)}
    return row | compared(times, failed)


def warmed_up(calls: Mapping[str, Callable[[], Result]], times: int = WARM_UP
              ) -> tuple[dict[str, list[Result]], dict[str, str]]:
    """What each side returns when it is called for the first times, and why torch.compile failed.
    """
    results, failed = {}, {}
    for side, call in calls.items():
        try:
            results[side] = [call() for _ in range(times)]
        except Exception as error:      # from the compiler, of any type
            if side != "compiled":
                raise
            failed[side] = reason(error)
    return results, failed


def reason(error: Exception) -> str:
    """The compiler's message without the traceback that it appends."""
    return " ".join(str(error).partition("\n\nSet TORCH")[0].split())[:300] or type(error).__name__


def compared(times: dict[str, Array], failed: dict[str, str]) -> dict[str, Any]:
    """The quartiles of each side, why others failed, and the ratios of medians to minigrad's."""
    row: dict[str, Any] = {side: quartiles(seconds[:, 0]) for side, seconds in times.items()}
    ours = row["minigrad"]["median_ms"]
    for side in [*times, *failed]:
        if side != "minigrad":
            row[f"ratio_{side}"] = row[side]["median_ms"] / ours if side in row else None
    return row | {side: {"failed": why} for side, why in failed.items()}


def difference(losses: dict[str, list[float]]) -> float:
    """The largest distance between two sides' losses at one step, over how far the loss moves: that
    of the first side that is not minigrad.

    The movement is the scale because a few steps change some losses very little, and then a wrong
    gradient changes them little, too. Agreement is limited: Adam moves a weight by a full step even
    if its gradient is nothing but rounding, so losses that agree to 1e-7 at first may soon agree
    only to 1e-4.
    """
    values = np.array(list(losses.values()))
    other = next(losses[side] for side in losses if side != "minigrad")
    return float(np.max(np.ptp(values, 0)) / np.ptp(other))


# ---- memory ------------------------------------------------------------------------------------

def memory(case: Case, seed: int, threads: int | None) -> dict[str, dict[str, float]]:
    """For each implementation: the peak of a process of its own, and what it held before, in MB."""
    jobs = [(name, threads, seed, [(c, batch_of(c, seed)) for c in (LOADED, case)])
            for name in implementations.NAMES]
    with multiprocessing.get_context("spawn").Pool(len(jobs), maxtasksperchild=1) as pool:
        found = pool.starmap(_peak_of_a_few_steps, jobs, chunksize=1)
    return dict(zip(implementations.NAMES, found, strict=True))


def _peak_of_a_few_steps(impl_name: str, threads: int | None, seed: int,
                         cases: Sequence[tuple[Case, Data]]) -> dict[str, float]:
    """The peak of the last case in MB, and what the process held after the cases before it."""
    implementations.get(impl_name)          # loaded, so that its threads can be set
    if impl_name == "minigrad" or threads is None:
        implementations.set_threads(threads)
    else:                                   # which would load Numba, too
        import torch
        torch.set_num_threads(threads)
    before = 0.0
    for case, data in cases:
        before = environment.rss_mb()
        environment.reset_peak_rss()
        _few_steps(case, data, impl_name, seed)
    # the system counts pages in batches, so the peak may seem to be a little lower
    return {"peak_rss_mb": max(environment.peak_rss_mb(), before), "rss_before_mb": before}


def _few_steps(case: Case, data: Data, side: str, seed: int) -> list[float]:
    step = stepper(case, data, side, seed)
    return [step() for _ in range(WARM_UP)]


# ---- the table ---------------------------------------------------------------------------------

HEADER = (f"{'model':27}{'batch':>6}{'minigrad ms':>25}{'PyTorch ms':>25}{'compiled ms':>25}"
          f"{'ratio':>8}{'compiled':>10}{'losses':>9}{'memory MB':>15}{'whole':>14}")
NOTES = """\
ms: median (first quartile … third quartile) of a training step. ratio: PyTorch's time over
minigrad's, for PyTorch as it is and for torch.compile; above 1, minigrad is faster. losses: their
largest difference in the first steps, relative to the change of the loss. memory: minigrad/PyTorch,
the peak of a process with that implementation alone, above what it held before the model existed;
whole: the peak itself."""


def cells(row: dict[str, Any]) -> str:
    """A row of the table, after its title and batch."""
    spreads = [time_of(row, side) for side in SIDES]
    ratios = [ratio_to(row, side) for side in SIDES[1:]]
    pairs = [(row[name]["peak_rss_mb"] - row[name]["rss_before_mb"], row[name]["peak_rss_mb"])
             for name in implementations.NAMES]
    above, whole = ("/".join(f"{pair[i]:.0f}" for pair in pairs) for i in (0, 1))
    return ("".join(f"{cell:>25}" for cell in spreads) + f"{ratios[0]:>8}{ratios[1]:>10}"
            f"{row['loss_difference']:9.0e}{above:>15}{whole:>14}")


def time_of(row: dict[str, Any], side: str) -> str:
    """A side's time as text; a dash if the side was left out."""
    if side not in row:
        return "–"
    return "failed" if "failed" in row[side] else spread(row[side])


def ratio_to(row: dict[str, Any], side: str) -> str:
    """A side's time over minigrad's as text; a dash if there is none."""
    ratio = row.get(f"ratio_{side}")
    return f"{ratio:.2f}" if ratio else "–"


def failures(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Why torch.compile failed, one line for each reason."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if why := row.get("compiled", {}).get("failed"):
            reasons.setdefault(why, []).append(row["title"])
    return [f"torch.compile failed for {', '.join(dict.fromkeys(titles))}: {why}"
            for why, titles in reasons.items()]


def run(cases: Sequence[Case], seed: int, threads: int | None, sides: Sequence[str] = SIDES
        ) -> Iterator[dict[str, Any]]:
    """Measure each case; print and yield its row."""
    print(HEADER)
    for case in cases:
        print(f"{case.title:27}{case.batch:6}", end="", flush=True)
        row = measure(case, seed, sides)
        for name, found in memory(case, seed, threads).items():
            row[name] |= found
        print(cells(row), flush=True)
        yield row
