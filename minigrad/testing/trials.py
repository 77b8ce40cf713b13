"""Which changes of the source are noticed: every check of an op, at every call, in a process of its
own that has the changed function.

A *trial* is one check at one call of one op. Its lines are learnt from the op as it is, and a
mutant is tried only where the trial runs its line. A process that has imported everything forks for
each mutant, so that a mutant costs little more than the trials that it needs, and cannot do harm:
one that hangs or crashes is noticed by that.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import gc
import os
import pickle
import re
import resource
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from minigrad.autograd import grad
from minigrad.kernels import compile as compiler
from minigrad.tensor import Tensor
from minigrad.testing.battery import CHECKS
from minigrad.testing.case import Call, Error, OpCase
from minigrad.testing.checks import NotTried
from minigrad.testing.checks.derivatives import check_reference
from minigrad.testing.checks.running import cotangents, run, vjp
from minigrad.testing.search import draw, drawn_calls
from minigrad.testing.source import Mutant, change_function, functions_of, lines_of

Line = tuple[str, int]                          # of a file
CALLS, CORNERS, SEED = 15, 60, 0                # how many calls hypothesis draws, and from where
FIRST = ("raises", "reference", "recorded", "corners", "adjoint", "linearity", "gradcheck")
PINNED = ("raises", "reference")                # what is tried of all others, at pinned calls
PATIENCE, AT_LEAST = 20, 5.0                    # × what the trial takes, and seconds
CASES = 12                                      # of ops that use a function: so many in full
LEARNING = 30.0                                 # seconds for a trial of the op as it is
MEMORY = 2**32                                  # what a mutant may take beyond what there is


@dataclass
class Trial:
    """One check of an op at one call: what it is, and what it ran."""

    name: str
    run: Callable[[], object]
    lines: frozenset[Line] = frozenset()
    seconds: float = 0.0


@dataclass
class Laboratory:
    """Tries mutants of modules on the cases that use them.

    broken: trials that fail without any mutant, and why.
    """

    cases: Sequence[OpCase]
    modules: Sequence[ModuleType]
    broken: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._trials: dict[tuple[str, bool], list[Trial]] = {}
        with _twins(), contextlib.suppress(Exception):     # what PyTorch imports at the first call
            check_reference(self.cases[0], self.cases[0].examples[0])
        self._used = self._used_by(self.cases)

    def cases_of(self, mutant: Mutant) -> list[OpCase]:
        """The cases whose examples or error calls run the function, first those that are likely to
        notice: they run the line, are of the same op or module, and run little else. Where there
        is none, the cases of what calls it."""
        functions, names = functions_of(mutant.module), {mutant.function}
        while True:
            body = {(mutant.file, n) for name in names for n in lines_of(functions[name])}
            using = [case for case in self.cases if self._used[case.id] & body]
            callers = {name for name, tree in functions.items() if names & {
                node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}}
            if using or callers <= names:
                return sorted(using, key=lambda case: (
                    not self._used[case.id] & mutant.felt_on, _distance(case, mutant),
                    len(self._used[case.id])))
            names |= callers

    def noticed_by(self, mutant: Mutant) -> tuple[str, int]:
        """The first trial that notices the mutant, "" for none, and how many were tried.

        Some functions are used by nearly every op. Of the first cases all trials are made, and of
        the others the error calls and the comparison with the reference at the examples.
        """
        tried = 0
        for i, case in enumerate(self.cases_of(mutant)):
            trials = [trial for trial in self.trials(case, pinned=i >= CASES)
                      if trial.lines & mutant.felt_on]
            if trials and (name := self._first_failing(mutant, trials)):
                return name, tried + len(trials)
            tried += len(trials)
        return "", tried

    def trials(self, case: OpCase, *, pinned: bool = False) -> list[Trial]:
        """The trials of a case that pass, quick ones first, with the lines that they run; pinned:
        only those that are quick."""
        if (case.id, pinned) not in self._trials:
            trials = list(trials_of(case, pinned=pinned))
            try:
                learnt = in_a_fork(lambda: list(map(self._learn, trials)))
            except ChildProcessError as error:      # one of them hangs or crashes
                self.broken[case.id], trials, learnt = str(error), [], []
            passing = []
            for trial, (lines, seconds, problem) in zip(trials, learnt, strict=True):
                trial.lines, trial.seconds = lines, seconds
                if problem:
                    self.broken[trial.name] = problem
                elif lines:
                    passing.append(trial)
            self._trials[case.id, pinned] = passing
        return self._trials[case.id, pinned]

    def _used_by(self, cases: Sequence[OpCase]) -> dict[str, set[Line]]:
        """The lines that each case's examples and error calls run: none for one that hangs or
        crashes, which becomes known by halving."""
        try:
            found: dict[str, set[Line]] = in_a_fork(lambda: self._at_examples(cases))
        except ChildProcessError as error:
            if len(cases) == 1:
                self.broken[cases[0].id] = str(error)
                return {cases[0].id: set()}
            half = len(cases) // 2
            found = self._used_by(cases[:half]) | self._used_by(cases[half:])
        return found

    # ---- in the forked process -------------------------------------------------------------------

    def _prepare(self) -> None:
        """Recompile every function, so that the trials pass with what a mutant is made like."""
        warnings.simplefilter("error")          # as in the tests
        for module in self.modules:
            for function in functions_of(module).values():
                change_function(module, function)

    def _at_examples(self, cases: Sequence[OpCase]) -> dict[str, set[Line]]:
        self._prepare()
        used: dict[str, set[Line]] = {}
        for case in cases:
            _limit(LEARNING)
            with self._noting() as lines:
                for call in (*case.examples, *(error.call for error in case.raises)):
                    with contextlib.suppress(Exception):
                        _differentiate(case, call)
            used[case.id] = lines
        return used

    def _learn(self, trial: Trial) -> tuple[frozenset[Line], float, str]:
        """The lines that it runs, how long that takes, and what is wrong, "" if nothing is."""
        self._prepare()
        _limit(LEARNING)
        start = time.process_time()
        try:
            with self._noting() as lines:
                trial.run()
        except NotTried:
            return frozenset(), 0.0, ""
        except Exception as error:
            return frozenset(), 0.0, f"{type(error).__name__}: {error}".splitlines()[0]
        return frozenset(lines), time.process_time() - start, ""

    @contextlib.contextmanager
    def _noting(self) -> Iterator[set[Line]]:
        """The lines of the modules that run meanwhile."""
        lines: set[Line] = set()
        files = {str(module.__file__) for module in self.modules}

        def at_call(frame: FrameType, event: str, _: object) -> Any:
            return at_line if frame.f_code.co_filename in files else None

        def at_line(frame: FrameType, event: str, _: object) -> Any:
            lines.add((frame.f_code.co_filename, frame.f_lineno))
            return at_line

        before = sys.gettrace()
        sys.settrace(at_call)
        try:
            yield lines
        finally:
            sys.settrace(before)

    def _first_failing(self, mutant: Mutant, trials: Sequence[Trial]) -> str:
        def first() -> str:
            warnings.simplefilter("error")
            try:
                mutant.apply()
            except Exception as error:
                return f"its definition: {type(error).__name__}"
            for trial in trials:
                _limit(PATIENCE * trial.seconds + AT_LEAST)
                try:
                    trial.run()
                except NotTried:
                    continue
                except Exception:
                    return trial.name
            return ""
        try:
            found: str = in_a_fork(first)
        except ChildProcessError as error:
            return f"{error} of {trials[0].name.partition(' ')[0]}"
        return found


def _distance(case: OpCase, mutant: Mutant) -> int:
    """0 for a case of the function itself, 1 for one of its module, 2 for others."""
    if getattr(case.op, "__module__", "") != mutant.module.__name__:
        return 2
    return int(case.op.__name__.strip("_") != mutant.function.strip("_"))


def _differentiate(case: OpCase, call: Call) -> None:
    """Run the op, its gradient, and what differentiating that again takes."""
    xs, ys = run(case, call)
    leaves = [x for x in xs if x is not None and x.requires_grad]
    vjp(xs, ys, cotangents(ys), retain_graph=True)
    for _ in range(2):
        ys = [y for y in ys if y.requires_grad]
        if ys:
            gs = [Tensor(g, requires_grad=True) for g in cotangents(ys)]
            found = grad(ys, leaves, gs, create_graph=True, allow_unused=True)
            ys, leaves = [g for g in found if g is not None], leaves + gs


def trials_of(case: OpCase, *, pinned: bool = False) -> Iterator[Trial]:
    """Every check of an op at each call of its examples and of what hypothesis draws, those first
    that notice most.  pinned: only the checks in PINNED, and nothing that is drawn."""
    drawn: dict[str, list[Call]] = {"any": [], "corners": []}
    if not pinned:
        draw(drawn_calls(case), drawn["any"].append, CALLS, SEED)
    if case.corners is not None and not pinned:
        draw(case.corners, drawn["corners"].append, CORNERS, SEED)
    trials = []
    for check in CHECKS.values():
        if check.excuse(case) or (pinned and check.name not in PINNED):
            continue
        examples = [] if check.at == "corners" else list(case.examples)
        if check.at == "first":
            examples = examples[:1]
        n, others = len(examples), drawn.get(check.at, [])
        some = CORNERS if check.at == "corners" else max(1, int(CALLS * check.share))
        for i, call in enumerate(examples + others[:some]):
            which = f"example {i + 1}" if i < n else f"drawn call {i - n + 1}"
            trials.append((check.name, i >= n, Trial(
                f"{case.id} {check.name}, {which}", functools.partial(check.run, case, call))))
    trials += [("raises", True, Trial(f"{case.id} raises, {i + 1}",
                                      functools.partial(_must_raise, case, error)))
               for i, error in enumerate(case.raises)]

    def rank(entry: tuple[str, bool, Trial]) -> tuple[int, bool]:
        return FIRST.index(entry[0]) if entry[0] in FIRST else len(FIRST), entry[1]
    yield from (trial for _, _, trial in sorted(trials, key=rank))


def _must_raise(case: OpCase, error: Error) -> None:
    try:
        run(case, error.call)
    except error.kind as raised:
        if not re.search(error.message, str(raised)):
            raise AssertionError(f"it says {raised}") from None
    else:
        raise AssertionError("nothing is raised")


# ---- processes -----------------------------------------------------------------------------------

@contextlib.contextmanager
def _twins() -> Iterator[None]:
    """Kernels are run as their twins, which need no threads."""
    before = compiler.TWINS_ONLY
    compiler.TWINS_ONLY = True
    try:
        yield
    finally:
        compiler.TWINS_ONLY = before


def in_a_fork(work: Callable[[], Any]) -> Any:
    """What a function returns in a copy of this process, on one thread, kernels as their twins.

    Raises: ChildProcessError where it ends without a result.
    """
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")         # as Python warns of threads, which wait for work
        child = os.fork()
    if not child:
        try:
            gc.freeze()                         # what the parent has is not looked through, or
            os.close(reading)                   # memory that both share would have to be copied
            _mute()
            _one_thread()
            with _twins(), open(writing, "wb") as result:
                pickle.dump(work(), result)
        except BaseException:
            os._exit(1)
        os._exit(0)
    os.close(writing)
    try:
        with open(reading, "rb") as result:
            told = result.read()
    except BaseException:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code or not told:
        raise ChildProcessError("the time limit" if code in (-signal.SIGPROF, -signal.SIGALRM) else
                                f"a crash ({signal.Signals(-code).name})" if code < 0 else
                                "an exit")
    return pickle.loads(told)


def _mute() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    for name in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(name, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)        # the parent ends it
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() if (
        sys.platform == "linux") else 0
    if now:
        resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, now + MEMORY))


def _one_thread() -> None:
    """PyTorch is to start no threads: OpenMP would wait for those of the parent, which a fork does
    not copy."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _limit(seconds: float) -> None:
    """The kernel ends the process after so many seconds of its own, or ten times that in all."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, 10 * seconds)

