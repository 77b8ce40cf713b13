"""The command `python -m minigrad.testing puzzle`: what it prints, and its exit status."""

from __future__ import annotations

import argparse
import difflib
import sys
import textwrap
from pathlib import Path
from typing import Any

from minigrad.testing.puzzle import curve, process
from minigrad.testing.puzzle.catalogue import GRADES, PUZZLES, edition
from minigrad.testing.puzzle.judge import WRONG, Verdict
from minigrad.testing.puzzle.progress import Fault, Progress
from minigrad.testing.puzzle.puzzle import Edition
from minigrad.testing.puzzle.reading import title_of

COMMAND = "python -m minigrad.testing puzzle"
WIDTH = 79


def add_parser(commands: Any) -> None:
    command = commands.add_parser(
        "puzzle", help="find the mistake in an op's gradient: twenty puzzles",
        description="Without N: lists the puzzles. With N: writes the op of puzzle N to a file, "
                    "and shows what goes wrong in training. With N and FILE: judges the op in "
                    "FILE; the exit status is 0 only if the puzzle is solved.")
    command.add_argument("number", nargs="?", type=_number, metavar="N",
                         help=f"the puzzle, 1 to {len(PUZZLES)}")
    command.add_argument("file", nargs="?", type=Path, metavar="FILE",
                         help="the file with your correction")
    command.add_argument("--hint", nargs="?", type=_hint, const=0, metavar="K",
                         help="print hint K, 1 to 3; without K, one more each time")
    command.add_argument("--solution", action="store_true", help="print the solution")
    command.add_argument("--seed", type=_seed, metavar="S",
                         help="another edition of the puzzle, with other data and sometimes with "
                              "other numbers or another mistake (default: 0)")


def _number(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= len(PUZZLES):
        raise argparse.ArgumentTypeError(f"the puzzles have the numbers 1 to {len(PUZZLES)}; "
                                         f"got {text!r}")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be 0 or a positive integer; got {text!r}")
    return int(text)


def _hint(text: str) -> int:
    if text not in ("1", "2", "3"):
        raise argparse.ArgumentTypeError(f"there are hints 1 to 3; got {text!r}")
    return int(text)


def main(arguments: argparse.Namespace) -> int:
    try:
        return _dispatch(arguments, Progress.load())
    except Fault as error:
        print(f"puzzle: {error}", file=sys.stderr)
    except BrokenPipeError:             # nobody reads on: no fault of a file
        raise
    except OSError as error:
        print(f"puzzle: {error.filename}: {error.strerror}", file=sys.stderr)
    return 2


def _dispatch(given: argparse.Namespace, progress: Progress) -> int:
    number, file = given.number, given.file
    if number is None:
        if given.hint is not None or given.solution or given.seed is not None:
            raise Fault(f"--hint, --solution and --seed need the number of a puzzle: {COMMAND} N "
                        "--hint")
        show_list(progress)
        return 0
    if (file is not None) + given.solution + (given.hint is not None) > 1:
        raise Fault("give one of FILE, --hint and --solution")
    chosen = edition(number, _seed_of_edition(number, given.seed, file))
    if file is not None:
        return judge_file(chosen, file, progress)
    if given.solution:
        show_solution(chosen)
    elif given.hint is not None:
        show_hint(chosen, given.hint, progress)
    else:
        hand_out(chosen)
    return 0


def _seed_of_edition(number: int, seed: int | None, file: Path | None) -> int:
    """The seed that was given, or else that in the first line of the reader's file, or 0."""
    if seed is not None:
        return seed
    path = file or Path(edition(number).file_name)
    title = title_of(_text_of(path)) if file or path.exists() else None
    if file and title and title[0] != number:
        raise Fault(f"{file} is the file of puzzle {title[0]}, not of puzzle {number}")
    return title[1] if title and title[0] == number else 0


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise Fault(f"{path}: not a text file in UTF-8") from None
    except FileNotFoundError:
        raise Fault(f"{path}: there is no such file") from None


def say(text: str, indent: str = "") -> None:
    """Print a paragraph."""
    print(textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=indent,
                        break_long_words=False, break_on_hyphens=False))


# ---- the list, a puzzle, a hint, the solution ----------------------------------------------------

def show_list(progress: Progress) -> None:
    say(f"These are {len(PUZZLES)} small ops. Each computes the right value, but its gradient "
        "contains one mistake. Find it and correct it.")
    number = 0
    for grade, (title, puzzles) in enumerate(GRADES.items(), 1):
        print(f"\ngrade {grade}: {title}")
        cells = []
        for puzzle in puzzles:
            number += 1
            mark = "x" if number in progress.solved else " "
            cells.append(f"[{mark}] {number:2} {puzzle.op:12}")
        print("   " + " ".join(cells).rstrip())
    unsolved = [n for n in range(1, len(PUZZLES) + 1) if n not in progress.solved]
    print(f"\n{len(PUZZLES) - len(unsolved)} of {len(PUZZLES)} are solved.", end="")
    print(f" The next:  {COMMAND} {unsolved[0]}" if unsolved else "")


def hand_out(chosen: Edition) -> None:
    """Write the reader's file, unless there is one, and show the puzzle."""
    path = Path(chosen.file_name)
    if there := path.exists():
        if title_of(_text_of(path)) != (chosen.number, chosen.seed):
            raise Fault(f"{path} is already there, and is not puzzle {chosen.number} with seed "
                        f"{chosen.seed}; it was left as it is. Rename or delete it first")
    else:
        with path.open("x", encoding="utf-8") as file:
            file.write(chosen.as_file(chosen.broken))
    puzzle, number = chosen.puzzle, chosen.number
    title = [*GRADES][chosen.grade - 1]
    print(f"Puzzle {number} of {len(PUZZLES)}   grade {chosen.grade}: {title}\n")
    say(f"{path} contains an op, {puzzle.op}. The value that it computes is right, but its "
        "gradient contains one mistake.")
    print()
    say(f"In training: {chosen.task}")
    print()
    show_curves(process.run(chosen, None), chosen, f"the broken {puzzle.op}")
    print("\nWhat to do:")
    say(f"1. Open {path} and correct the gradient. Leave the value as it is.", "   ")
    print(f"   2. Have it judged:   {COMMAND} {number} {path}\n"
          f"   3. If you are stuck: {COMMAND} {number} --hint")
    if there:
        print()
        say(f"{path} was already there, and was left as it is. To start afresh, delete or rename "
            "it, and repeat the command.")


def show_curves(result: process.Result, chosen: Edition, name: str) -> None:
    if result.verdict.refused:
        say(result.verdict.refused)
    elif result.verdict.curve:
        print(curve.draw(result.verdict.curve, result.right, chosen.puzzle.training.shown, name))


def show_hint(chosen: Edition, asked: int, progress: Progress) -> None:
    key = str(chosen.number)
    count = asked or min(progress.hints.get(key, 0) + 1, len(chosen.puzzle.hints))
    if count > progress.hints.get(key, 0):
        progress.hints[key] = count
        progress.save()
    print(f"Hint {count} of {len(chosen.puzzle.hints)} on puzzle {chosen.number}, "
          f"{chosen.puzzle.op}:\n")
    say(chosen.hint(count), "   ")
    if count < len(chosen.puzzle.hints):
        print(f"\nThe next hint:  {COMMAND} {chosen.number} --hint")
    else:
        print(f"\nThis is the last hint.\nThe solution:  {COMMAND} {chosen.number} --solution")


def show_solution(chosen: Edition) -> None:
    print(f"Solution of puzzle {chosen.number}, {chosen.puzzle.op}: {chosen.mistake.name}\n")
    lines = difflib.ndiff(chosen.broken.splitlines(), chosen.right.splitlines())
    for line in lines:
        if not line.startswith("?"):
            print(f"   {line}".rstrip())
    print()
    say(chosen.puzzle.why)


# ---- the judgement -------------------------------------------------------------------------------

def judge_file(chosen: Edition, path: Path, progress: Progress) -> int:
    _text_of(path)
    result = process.run(chosen, path)
    verdict = result.verdict
    if verdict.refused:
        print(verdict.refused)
        return 1
    print(f"Puzzle {chosen.number}, {chosen.puzzle.op}, in {path}:\n")
    show_checks(verdict)
    print()
    show_curves(result, chosen, f"your {chosen.puzzle.op}")
    print()
    if not verdict.solved:
        print(f"Not solved yet. A hint:  {COMMAND} {chosen.number} --hint")
        return 1
    if chosen.number not in progress.solved:
        progress.solved = sorted([*progress.solved, chosen.number])
        progress.save()
    print(f"Solved.\nThe mistake explained:  {COMMAND} {chosen.number} --solution\n"
          f"The next puzzles:       {COMMAND}")
    return 0


def show_checks(verdict: Verdict) -> None:
    for state, name, remark in verdict.checks:
        print(f"   {state:6} {name:28} {'' if state == WRONG else remark}".rstrip())
        if state == WRONG:
            say(remark, " " * 10)
            for line in verdict.details:
                if line.startswith(" "):
                    print(" " * 10 + line)
                else:
                    say(line, " " * 10)
