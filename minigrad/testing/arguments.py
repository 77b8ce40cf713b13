"""The arguments of `check_op`: what they mean, and one clear sentence where they mean nothing."""

from __future__ import annotations

import copy
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from minigrad.nn import Module
from minigrad.testing.case import Call, Error, OpCase, Tolerance
from minigrad.testing.checks import CHECKS
from minigrad.testing.foreign import as_tensor, name_of, recognised, reference_like
from minigrad.testing.mutants import checked_equivalents
from minigrad.testing.search import draw

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float32", "float64")


# ---- what is to be checked -----------------------------------------------------------------------

def case_of(fn: Any, inputs: Any, reference: Any, examples: Any, raises: Any, name: str,
            **more: Any) -> OpCase:
    """The OpCase that the arguments of `check_op` stand for; `more` are further fields of it."""
    require_function("check_op", fn)
    if not (reference is None or callable(reference)):
        raise TypeError(f"check_op: reference must be a function; got {type(reference).__name__}")
    if isinstance(fn, Module):
        fn, more["dtypes"] = copy.deepcopy(fn).double(), ("float64",)
    pinned = [call_of(example) for example in _listed("examples", examples, "inputs")]
    if is_strategy(inputs):
        strategy, originals = inputs.map(call_of), list(examples)
        pinned = pinned or _sampled(strategy)
    else:
        strategy, originals = None, [inputs]
        pinned = [call_of(inputs), *pinned]
    arguments = [x for given in originals
                 for x in (given if isinstance(given, list | tuple) else [given])]
    op = recognised(fn, arguments)
    if op is None:
        _require_no_other_framework(fn)
    case = OpCase(op or fn, reference, strategy, pinned, errors_of(raises),
                  name=name or name_of(fn), **more)
    if reference is not None:           # fails here, if it takes nothing at all
        _require_reference(reference, pinned[0])
    return checked_case("check_op", case)


def call_of(inputs: Any) -> Call:
    """A call with these inputs: its floating-point numbers as float64."""
    if isinstance(inputs, Call):
        return inputs.astype(np.float64)
    given = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
    for i, x in enumerate(given):
        if not (x is None or (hasattr(x, "dtype") and hasattr(x, "shape"))):
            raise TypeError(f"check_op: inputs[{i}] must be an array, a Tensor or None; got "
                            f"{_briefly(x)}. Arguments of other kinds go by name: Call(x, dim=1)")
    tensors = [None if x is None else as_tensor(x) for x in given]
    call = Call(*(None if x is None else x.data for x in tensors)).astype(np.float64)
    says_so = [i for i, x in enumerate(given) if hasattr(x, "requires_grad")]
    if any(given[i].requires_grad for i in says_so):
        call.constant = frozenset(i for i in says_so if not given[i].requires_grad)
    return call


def errors_of(raises: Any) -> list[Error]:
    """The calls that must fail, from (inputs, exception, regular expression) each."""
    errors = []
    for i, entry in enumerate(_listed("raises", raises, "(inputs, exception, message)")):
        if not (isinstance(entry, tuple | list) and len(entry) == 3):
            raise TypeError(f"check_op: raises[{i}] must be (inputs, exception, regular expression "
                            f"of its message); got {_briefly(entry)}")
        inputs, kind, message = entry
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            raise TypeError(f"check_op: raises[{i}] must name an exception, say ValueError; got "
                            f"{kind!r}")
        try:
            re.compile(message)
        except (re.error, TypeError) as error:
            raise ValueError(f"check_op: raises[{i}]: {message!r} is no regular expression: {error}"
                             ) from None
        errors.append(Error(call_of(inputs), kind, message))
    return errors


def is_strategy(inputs: Any) -> bool:
    hypothesis = sys.modules.get("hypothesis")
    return hypothesis is not None and isinstance(inputs, hypothesis.strategies.SearchStrategy)


def _sampled(strategy: SearchStrategy[Call]) -> list[Call]:
    """A few calls to pin: of those that hypothesis draws, the ones that tell most apart, with long
    dims and many of them."""
    calls: list[Call] = []
    draw(strategy, calls.append, 50, 0)

    def worth(call: Call) -> tuple[int, int]:
        shapes = [x.shape for x in call.arrays if x is not None]
        return (min((n for shape in shapes for n in shape), default=1),
                sum(len(shape) for shape in shapes))
    return sorted(calls, key=worth)[-3:]


# ---- refusals ------------------------------------------------------------------------------------

def checked_case(name: str, case: OpCase) -> OpCase:
    """The case with its examples in float64; raises where a field is not what it must be."""
    require_function(name, case.op)
    for i, call in enumerate(case.examples):
        if not isinstance(call, Call):
            raise TypeError(f"{name}: examples[{i}] must be a Call, as in Call(x, dim=1); got "
                            f"{type(call).__name__}")
    for i, error in enumerate(case.raises):
        if not isinstance(error, Error):
            raise TypeError(f"{name}: raises[{i}] must be an Error(call, exception, message); got "
                            f"{error!r}")
    for field, strategy in (("inputs", case.inputs), ("corners", case.corners)):
        if not (strategy is None or is_strategy(strategy)):
            got = name_of(strategy) if callable(strategy) else type(strategy).__name__
            raise TypeError(f"{name}: {field} must be a hypothesis strategy of calls, as "
                            f"strategies.unary(domains.special); got {got}")
    if not isinstance(case.tolerance, Tolerance):
        raise TypeError(f"{name}: tolerance must be a Tolerance, as in Tolerance(value=1e-8, "
                        f"gradient=1e-7); got {case.tolerance!r}")
    if not (case.tolerance.value >= 0 and case.tolerance.gradient >= 0):
        raise ValueError(f"{name}: a tolerance must be at least 0; got {case.tolerance}")
    if isinstance(case.dtypes, str) or not all(isinstance(d, str) for d in case.dtypes):
        raise TypeError(f"{name}: dtypes must be a sequence of names, as in ('float64',); got "
                        f"{case.dtypes!r}")
    if unknown := [dtype for dtype in case.dtypes if dtype not in DTYPES]:
        raise ValueError(f"{name}: dtypes: {unknown[0]!r} is not one of {', '.join(DTYPES)}")
    _require_reasons(name, "excused", case.excused)
    if unknown := sorted(case.excused.keys() - CHECKS):
        raise ValueError(f"{name}: excused: there is no check {unknown[0]!r}; there are "
                         f"{', '.join(CHECKS)}")
    checked_equivalents(name, case.equivalent,
                        max((len(call.arrays) for call in case.examples), default=None))
    if all(x is None or x.dtype.kind != "f" or x.dtype == np.float64
           for call in case.examples for x in call.arrays):
        return case
    return replace(case, examples=[call.astype(np.float64) for call in case.examples])


def require_alone(case: OpCase, others: Mapping[str, bool]) -> None:
    """Raises where check_op got more than an OpCase; others: whether each argument was given."""
    if given := [name for name, is_given in others.items() if is_given]:
        raise TypeError(f"check_op: an OpCase says all there is to say about its op; got "
                        f"{' and '.join(given)} as well, which the case of {case.id} must contain")


def require_numbers(max_examples: Any, seed: Any) -> None:
    if not _is_int(max_examples):
        raise TypeError(f"check_op: max_examples must be an int; got {max_examples!r}")
    if max_examples < 1:
        raise ValueError(f"check_op: max_examples must be at least 1; got {max_examples}")
    if not (seed is None or _is_int(seed)):
        raise TypeError(f"check_op: seed must be an int or None; got {seed!r}")


def require_function(name: str, fn: Any) -> None:
    if isinstance(fn, tuple):
        if not (len(fn) == 2 and all(map(callable, fn))):
            kinds = ", ".join(name_of(part) if callable(part) else repr(part) for part in fn)
            raise TypeError(f"{name}: a pair (f, vjp) must be two functions; got ({kinds})")
    elif not callable(fn):
        raise TypeError(f"{name}: fn must be a function, a pair (f, vjp) or an OpCase; got "
                        f"{type(fn).__name__}")


def _require_no_other_framework(fn: Any) -> None:
    """Raises for a function of PyTorch, JAX or NumPy itself, without inputs that say so."""
    name = name_of(fn)
    home = (getattr(fn, "__module__", None) or type(fn).__module__ or "").partition(".")[0]
    torch = sys.modules.get("torch")
    if isinstance(fn, np.ufunc) or home == "numpy":
        raise TypeError(f"check_op: {name} is NumPy's, which has no gradients: give a pair "
                        f"({name}, vjp), with vjp(g, *inputs)")
    if home == "torch" or (torch and any(getattr(space, name, None) is fn for space in (
            torch, torch.special, torch.linalg, torch.nn.functional))):
        raise TypeError(f"check_op: {name} is PyTorch's: give torch tensors as inputs")
    if home in ("jax", "jaxlib"):
        raise TypeError(f"check_op: {name} is JAX's: give JAX's arrays as inputs")


def _require_reference(reference: Callable[..., Any], call: Call) -> None:
    framework, _ = reference_like(reference, call.arrays, call.static)
    if framework == "NumPy" and not isinstance(reference, tuple):
        result = reference(*call.arrays, **call.static)
        for y in result if isinstance(result, list | tuple) else [result]:
            if np.asarray(y).dtype.kind not in "fiub":
                raise TypeError(f"check_op: the reference {name_of(reference)} must return arrays "
                                f"or Tensors; got {type(y).__name__}")


def _require_reasons(name: str, option: str, given: Any) -> None:
    if not isinstance(given, Mapping):
        raise TypeError(f"{name}: {option} must give the reason for each, as in "
                        f"{{'gradcheck': 'why'}}; got {given!r}")


def _listed(option: str, given: Any, of: str) -> Sequence[Any]:
    if not isinstance(given, list | tuple):
        raise TypeError(f"check_op: {option} must be a list of {of}; got {type(given).__name__}")
    return given


def _briefly(x: Any) -> str:
    """On one line, and not a long one."""
    line = " ".join(repr(x).split())
    return line if len(line) <= 60 else line[:60] + "…"


def _is_int(x: Any) -> bool:
    return isinstance(x, int | np.integer) and not isinstance(x, bool)
