"""Tests that take minutes: each module with a function `parts` is a section of tests/battery.py.

    def parts(share: float, seed: int) -> Iterator[Part]

The first line of its docstring is what the section tries. `share` is how much of the whole to try:
1 for the battery, a few hundredths for the sample of it in the suite (tests/test_battery.py). A
section that is only run by hand says SAMPLE = None instead of its share.
"""

from __future__ import annotations

import pkgutil
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType


@dataclass
class Part:
    """What came of one part of a section."""

    name: str
    tried: int = 0
    faults: list[str] = field(default_factory=list)         # a line for each
    note: str = ""                                          # what else is to be known


def sections() -> dict[str, ModuleType]:
    """The sections by their names."""
    modules = {m.name: import_module(f"{__name__}.{m.name}")
               for m in pkgutil.iter_modules(__path__)}
    return {name: module for name, module in modules.items() if hasattr(module, "parts")}


def about(section: ModuleType) -> str:
    return (section.__doc__ or "").splitlines()[0].rstrip(".")


def number(share: float, whole: int) -> int:
    """A share of a number of trials, but at least one."""
    return max(1, round(share * whole))
