"""Twenty puzzles: a small op whose gradient contains one mistake, to be found and corrected.

    python -m minigrad.testing puzzle               the list
    python -m minigrad.testing puzzle 7             writes puzzle_07.py, shows what goes wrong
    python -m minigrad.testing puzzle 7 puzzle_07.py    judges the correction

A puzzle (puzzle.py) is the source of a right op and one named mistake. Everything else is made from
these two: the file that the reader gets is the source with the mistake applied, and the solution is
the difference. The twenty stand in `catalogue`, four for each of five grades. A seed chooses among
the mistakes and the numbers of a puzzle, and draws the data.

The right op and the broken one are trained side by side (training.py), and their losses are drawn
with characters (curve.py). A correction is read (reading.py), judged (judge.py) and trained in a
process of its own (process.py), so that an endless loop in it ends after a while.
"""
