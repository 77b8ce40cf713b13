"""The twenty puzzles in order, four for each grade. A further one joins the list of its grade."""

from __future__ import annotations

from minigrad.testing.puzzle.catalogue import corners, hidden, inputs, sums, symbols
from minigrad.testing.puzzle.puzzle import Edition, Puzzle

GRADES: dict[str, list[Puzzle]] = {
    "one input": symbols.PUZZLES,
    "two inputs, and sizes": inputs.PUZZLES,
    "sums along an axis": sums.PUZZLES,
    "right nearly everywhere": corners.PUZZLES,
    "hidden from most checks": hidden.PUZZLES,
}
PUZZLES = [(grade, puzzle) for grade, puzzles in enumerate(GRADES.values(), 1)
           for puzzle in puzzles]


def edition(number: int, seed: int = 0) -> Edition:
    """Puzzle 1, 2, … as a seed makes it."""
    grade, puzzle = PUZZLES[number - 1]
    return Edition(number, grade, puzzle, seed)
