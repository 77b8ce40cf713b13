"""What is tried to notice a mutant of a function that many ops use."""

from __future__ import annotations

from pathlib import Path

import pytest

from minigrad.testing import trials
from minigrad.testing.source import mutants_of
from minigrad.testing.trials import Laboratory
from minigrad.testing.users import load

SHARED = """
from minigrad.autograd import op
from minigrad.testing import Call, OpCase
from minigrad.testing.case import Error

def checked(n):
    if n > 7:
        raise ValueError("n is at most 7")
    return n

@op
def first(x, *, n):
    return x.data * checked(n), lambda g: g * n

@op
def second(x, *, n):
    return x.data + checked(n) - n, lambda g: g

CASES = [OpCase(first, None, None, [Call([1.5, 2.5], n=2)]),
         OpCase(second, None, None, [Call([1.5, 2.5], n=3)],
                [Error(Call([1.5], n=8), ValueError, "at most 7")])]
"""


def test_error_calls_of_every_case_are_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path
                                            ) -> None:
    """The bound is pinned in one op, which is not among the first that are tried."""
    file = tmp_path / "shared_of_trials.py"
    file.write_text(SHARED, encoding="utf-8")
    module = load(str(file))
    mutant = next(mutant for mutant in mutants_of(module, ["checked"])
                  if mutant.change == "n > 7 → n > 8")
    monkeypatch.setattr(trials, "CASES", 1)
    laboratory = Laboratory(module.CASES, [module])
    assert [case.id for case in laboratory.cases_of(mutant)] == ["first", "second"]
    name, tried = laboratory.noticed_by(mutant)
    assert name == "second raises, 1"
    assert tried > 1
    assert [trial.name for trial in laboratory.trials(module.CASES[1], pinned=True)] == [name]
