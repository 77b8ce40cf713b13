"""docs/own-data.md is true: its commands are taken, and what it lists is what is read."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from comparisons.cli import parser
from comparisons.datasets.base import EMBEDDED
from comparisons.datasets.diabetes import FILE
from comparisons.datasets.idx import KNOWN
from comparisons.datasets.records import MISSING, MISSING_TOLD

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "own-data.md").read_text("utf-8")
COMMANDS = re.findall(r"python -m comparisons ([^\n`|]+)", TEXT)


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_are_taken(command: str) -> None:
    words = [word for word in shlex.split(command) if not word.endswith(".py")]
    if words[0] == "run" and len(words) == 3:
        words.insert(1, "regression")           # in place of a file that is not here
    if words[-1] == "--task":
        words.append("regression")
    assert parser(words).parse_args(words).command == words[0]


def test_what_it_lists_is_what_is_read() -> None:
    assert len(COMMANDS) >= 10
    assert MISSING_TOLD in " ".join(TEXT.split())
    told = {word.lower() for word in re.split(r", | or ", MISSING_TOLD)} - {"an empty cell"} | {""}
    assert told == set(MISSING)
    assert (EMBEDDED / FILE).read_text().splitlines()[0] in TEXT
    for known in KNOWN:
        assert f"`{known.name}`" in TEXT
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", TEXT):
        assert (ROOT / "docs" / target).exists(), target
