"""Runs the commands again whose output the README and the docs quote, and prints what differs.

`numbers.toml`, beside this file, lists every number that a command prints: the command with its
seed and its data, the page and the text around it, how far it may be off, and why. It also names
the tables that it leaves out, such as speeds, with the reason. Its head explains its form.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import shlex
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from comparisons.datasets.base import EMBEDDED
from comparisons.errors import Fault

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = Path(__file__).with_name("numbers.toml")
MINUTE = 60
ANYTHING = r"(?:.*?\s+)?"
NUMBER = r"[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?"

Run = Callable[[Sequence[str], Path], tuple[int, str]]     # words and folder → status and output


@dataclass(frozen=True)
class Command:
    """What is run. data: a word among the commands that `--data` replaces, or ""."""

    name: str
    run: list[str]
    seconds: float
    seed: int
    source: str
    data: str = ""
    sha256: dict[str, str] = field(default_factory=dict)

    def words(self, data: Path | None) -> list[list[str]]:
        return [[str(data) if data and word == self.data else word for word in shlex.split(line)]
                for line in self.run]


@dataclass(frozen=True)
class Figure:
    """Numbers on a page, and how they are printed.

    text: as on the page, with the numbers in braces. printed: the lines of the output, with {} for
    each of these numbers in this order, * for any word, and … for any words.
    """

    page: str
    commands: list[str]
    text: str
    within: float
    because: str
    printed: list[str] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        return [line for line in self.text.splitlines() if line.strip()]

    @property
    def numbers(self) -> list[str]:
        return re.findall(r"\{(.*?)\}", self.text)

    def missing(self) -> list[str]:
        """The lines that do not stand on the page."""
        page = plain((ROOT / self.page).read_text("utf-8"))
        return [line for line in self.lines if plain(bare(line)) not in page]

    def differences(self, output: str) -> list[str]:
        """A sentence for each number that the output does not have, or has differently."""
        found, place, numbers = [], 0, iter(self.numbers)
        for line in self.printed or self.lines:
            expected = [next(numbers) for _ in re.findall(r"\{.*?\}", line)]
            match = re.compile(pattern(line)).search(output, place)
            if match is None:
                found.append(f"{' and '.join(expected)}: the output has no “{plain(bare(line))}”")
                continue
            place = match.end()
            found += [f"{old}: {new} is printed in “{plain(match[0])}”; may be off by "
                      f"{self.within:g}: {self.because}"
                      for old, new in zip(expected, match.groups(), strict=True)
                      if not equal(old, new, self.within)]
        return found


@dataclass(frozen=True)
class Outside:
    """Tables of pages that are not checked here. holds: words of the heading row, or "" for all."""

    pages: list[str]
    reason: str
    holds: str = ""


@dataclass(frozen=True)
class Manifest:
    commands: dict[str, Command]
    figures: list[Figure]
    outside: list[Outside]

    def of(self, command: str) -> list[Figure]:
        return [figure for figure in self.figures if command in figure.commands]


def manifest(path: Path = MANIFEST) -> Manifest:
    """Raises: Fault naming the file if it is damaged."""
    try:
        content = tomllib.loads(path.read_text("utf-8"))
        return Manifest({name: Command(name, **entry) for name, entry in
                         content["commands"].items()},
                        [Figure(**entry) for entry in content["figures"]],
                        [Outside(**entry) for entry in content["outside"]])
    except (KeyError, TypeError, ValueError) as error:
        raise Fault(f"{path}: {type(error).__name__}: {error}") from None


# ---- texts and numbers ---------------------------------------------------------------------------

def plain(text: str) -> str:
    """The text with single spaces."""
    return " ".join(text.split())


def bare(line: str) -> str:
    """A line without the braces around its numbers."""
    return re.sub(r"\{(.*?)\}", r"\1", line)


def pattern(line: str) -> str:
    """The pattern of a line in an output. Its groups are the numbers."""
    found = ""
    for word in plain(line).split():
        gap = r"\s+" if found and not found.endswith(ANYTHING) else ""
        if word == "…":
            found += gap + ANYTHING
        elif word == "*":
            found += gap + r"\S+"
        else:
            found += gap + "".join(f"({NUMBER})%?" if part.startswith("{") else re.escape(part)
                                   for part in re.split(r"(\{.*?\})", word))
    return found


def value(number: str) -> float:
    return float(number.replace(",", "").rstrip("%"))


def equal(shown: str, printed: str, within: float) -> bool:
    """Whether a printed number is the one that is shown, which may have fewer digits."""
    digits = re.fullmatch(r"[^.e]*(?:\.(\d*))?(?:e([-+]?\d+))?", shown.rstrip("%"))
    assert digits is not None, shown
    last = 10.0 ** (int(digits[2] or 0) - len(digits[1] or ""))
    fewer = len(shown.rstrip("%")) < len(printed)
    return math.isclose(value(shown), value(printed), rel_tol=1e-9,
                        abs_tol=within + (last / 2 if fewer else 0) + 1e-9 * last)


# ---- running -------------------------------------------------------------------------------------

def run(words: Sequence[str], folder: Path) -> tuple[int, str]:
    """Run a command in a folder, in a process of its own. Its progress bar is shown."""
    argv = [sys.executable if word == "python" else word for word in words]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(argv, cwd=folder, stdout=subprocess.PIPE, encoding="utf-8",
                          errors="replace", env=os.environ | {"PYTHONPATH": path,
                                                              "PYTHONIOENCODING": "utf-8"})
    return done.returncode, done.stdout


def unequal_data(command: Command, data: Path | None) -> list[str]:
    """The files whose contents are not those that the numbers come from."""
    found = []
    for name, known in command.sha256.items():
        path = (data or EMBEDDED) / name
        if not path.is_file():
            found.append(f"{path}: not found, so its checksum was not compared")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != known:
            found.append(f"{path}: other data than those of the numbers (by SHA-256)")
    return found


def check(command: Command, figures: Sequence[Figure], data: Path | None = None, run: Run = run
          ) -> list[str]:
    """Run a command; return a sentence for each number that differs, and for each other fault."""
    found = unequal_data(command, data)
    output = []
    with tempfile.TemporaryDirectory() as folder:
        for words in command.words(data):
            status, printed = run(words, Path(folder))
            output.append(printed)
            if status != 0:
                found.append(f"{shlex.join(words)}: ended with status {status}")
                break
    for figure in figures:
        found += [f"{figure.page}: {told}" for told in figure.differences("\n".join(output))]
    return found


def main(names: Sequence[str], quick: bool, data: Path | None, run: Run = run) -> int:
    """Run commands, and print what differs; return 1 if anything does.

    names: those to run; without any, all that need no data of the user, or with `quick` those of
    them that take less than a minute.
    """
    known = manifest()
    chosen = [known.commands[name] for name in names] or [
        command for command in known.commands.values()
        if not command.data and (not quick or command.seconds < MINUTE)]
    bad, numbers = 0, 0
    for command in chosen:
        print(f"{command.name}: {' && '.join(command.run)} (about {length(command.seconds)})",
              flush=True)
        figures = known.of(command.name)
        found = check(command, figures, data if command.data else None, run)
        for line in found:
            print(f"  {line}")
        count = sum(len(figure.numbers) for figure in figures)
        numbers, bad = numbers + count, bad + len(found)
        if not found:
            print(f"  as shown: {count} number{'s' * (count != 1)} in "
                  + ", ".join(dict.fromkeys(figure.page for figure in figures)), flush=True)
    left = [command.name for command in known.commands.values() if command not in chosen]
    if left and not names:
        print(f"not run: {', '.join(left)}; name them to run them" + (
            ", those that need data with --data" if any(known.commands[n].data for n in left)
            else ""))
    print(f"{bad} of {numbers} numbers differ, or could not be compared" if bad else
          f"all {numbers} numbers are as shown")
    return int(bad > 0)


def length(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < MINUTE else f"{seconds / MINUTE:.0f} min"


def text() -> str:
    """The list of the commands, with what they print, and what is left out."""
    known = manifest()
    lines = []
    for command in known.commands.values():
        figures = known.of(command.name)
        count = sum(len(figure.numbers) for figure in figures)
        lines += [f"{command.name}: about {length(command.seconds)}, "
                  f"{count} number{'s' * (count != 1)} in "
                  + ", ".join(dict.fromkeys(figure.page for figure in figures)),
                  *(f"    {line}" for line in command.run),
                  f"    data: {command.source}, seed {command.seed}" + (
                      f"; needs --data PATH, for {command.data}" if command.data else "")]
    lines.append("left out:")
    for outside in known.outside:
        lines.append(f"    {', '.join(outside.pages)}{': ' * bool(outside.holds)}{outside.holds}: "
                     f"{outside.reason}")
    return "\n".join(lines)


def wrong(names: Sequence[str], data: Path | None) -> str:
    """What is wrong with the arguments of the command, or ""."""
    commands = manifest().commands
    for name in names:
        if name not in commands:
            return f"unknown name {name!r}; choose from {', '.join(commands)}"
    needing = [commands[name] for name in names if commands[name].data]
    if needing and data is None:
        return f"{needing[0].name}: needs --data, {needing[0].source}"
    if data is not None and not needing:
        return "--data: name the command that uses it"
    if len({command.source for command in needing}) > 1:
        return "--data: the named commands need different data; run one after the other"
    return ""
