"""Recipes of training as dataclasses, from which one ingredient after the other can be left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any, Self

from comparisons.errors import Fault
from comparisons.tasks.options import CalibratedOptions, flag


@dataclass(frozen=True)
class Ingredients:
    """A recipe. A field that has a default is an ingredient; the default means that it is absent.

    A subclass adds the fields: those without a default, such as the number of epochs, belong to
    every recipe.
    """

    def present(self) -> tuple[str, ...]:
        """The names of the ingredients that this recipe has."""
        return tuple(f.name for f in fields(self)
                     if f.default is not MISSING and getattr(self, f.name) != f.default)

    def without(self, names: Sequence[str]) -> Self:
        """The recipe without some of its ingredients. Raises: Fault if it does not have one."""
        absent: dict[str, Any] = {f.name: f.default for f in fields(self)}
        for name in names:
            if name not in self.present():
                raise Fault(f"--without: {name} is no ingredient of this recipe; it has "
                            f"{', '.join(self.present()) or 'none'}")
        return replace(self, **{name: absent[name] for name in names})


def several(word: str) -> tuple[str, ...]:
    """A parser of names with commas between them, such as "dropout,averaging"."""
    names = tuple(dict.fromkeys(part.strip() for part in word.split(",")))
    if not all(names):
        raise ValueError(f"expected names with commas between them; got {word!r}")
    return names


@dataclass(frozen=True)
class RecipeOptions(CalibratedOptions):
    """The options of a task whose recipe is an `Ingredients`."""

    without: tuple[str, ...] = flag((), several, "NAMES", help="ingredients of the recipe to leave "
                                    "out, with commas between them; `python -m comparisons "
                                    "ablation` lists them")
