"""Cases of ops outside the library: those that a file or module gives, or else guessed ones."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from minigrad.autograd import registry
from minigrad.testing import domains
from minigrad.testing.case import Call, OpCase
from minigrad.testing.checks.running import run
from minigrad.testing.gradcheck import gradcheck

GUESSES = (domains.real, domains.positive, domains.unit, domains.probability)


def load(where: str) -> ModuleType:
    """A module by its name, or from a file that ends in .py.

    Raises: LookupError, in one line, where there is none or it cannot be imported.
    """
    path = Path(where)
    try:
        if path.suffix != ".py":
            return importlib.import_module(where)
        if not path.is_file():
            raise FileNotFoundError
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        sys.path.insert(0, str(path.resolve().parent))
        try:
            spec.loader.exec_module(module)
        finally:
            sys.path.pop(0)
        return module
    except FileNotFoundError:
        raise LookupError(f"{where}: there is no such file") from None
    except (Exception, SystemExit) as error:
        raise LookupError(f"{where} cannot be imported: {type(error).__name__}: {error}") from None


def cases_of(module: ModuleType, names: list[str]) -> list[OpCase]:
    """An OpCase for each op of a module with one of the names, or for all of them for none.

    A case that the module holds (by itself or in a list) is taken; for other ops the inputs are
    guessed. Where that fails, an op that was not named is left out, which is printed.
    Raises: LookupError for an unknown name, or where no guess is one that the named op takes.
    """
    given = [case for value in vars(module).values()
             for case in (value if isinstance(value, list | tuple) else [value])
             if isinstance(case, OpCase)]
    prefix = f"{module.__name__}."
    ops = {name.removeprefix(prefix): f for name, f in registry.items()
           if name.startswith(prefix) and name.removeprefix(prefix) in vars(module)}
    cased = {case.op for case in given}
    known = {case.id: case for case in given}
    left_out: list[str] = []
    for name, op in ops.items():
        if op not in cased and (name in names or not names):
            try:
                known[name] = case_by_guess(op)
            except LookupError as error:
                if names:
                    raise
                left_out.append(str(error))
    for name in names:
        if name not in known:
            there = ", ".join(dict.fromkeys([*known, *ops])) or "none"
            raise LookupError(f"{module.__name__}: no op is called {name!r}; there are {there}")
    if not known:
        raise LookupError(left_out[0] if left_out else
                          f"{module.__name__}: there is no op (a function under @op) and no OpCase")
    if left_out:
        print(*(f"left out: {reason}" for reason in left_out), sep="\n")
    return [case for name, case in known.items() if name in names or not names]


def case_by_guess(op: Callable[..., Any]) -> OpCase:
    """A case whose inputs are arrays of (3, 4), or (4, 3, 5), with numbers that the op takes.

    Floating-point numbers for every input; or, where the op refuses these, small whole numbers for
    the last one, as an index has them.
    Raises: LookupError where it takes none.
    """
    parameters = inspect.signature(op).parameters.values()
    n = sum(p.kind is p.POSITIONAL_OR_KEYWORD and p.default is p.empty for p in parameters) or 2
    rng, refusal = np.random.default_rng(0), ""
    shapes = ((3, 4), (4, 3, 5), (4, 4))
    guesses = [[domain(rng, shape) for _ in range(n)] for domain in GUESSES for shape in shapes]
    guesses += [[*(domains.real(rng, shape) for _ in range(n - 1)), rng.integers(0, 3, length)]
                for shape in shapes for length in (shape, shape[:1])] * (n > 1)
    for arrays in guesses:
        case = OpCase(op, None, None, [Call(*arrays)], name=op.__name__)
        try:
            gradcheck(op, run(case, case.examples[0])[0])
        except AssertionError:
            return case                     # wrong, which the lab will say
        except Exception as error:          # it is the user's op, and may raise anything
            refusal = f"{type(error).__name__}: {error}".splitlines()[0]
            continue
        return case
    raise LookupError(f"{op.__name__}: no guess at its inputs is one that it takes; say them in an "
                      f"OpCase({op.__name__}, None, None, [Call(…)]) in the same file. The last "
                      f"guess met with {refusal}")
