"""docs/export.md is true: its examples run, and its commands are taken."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from pages import DOCS, run_snippets

from comparisons.cli import main, parser
from minigrad import checkpoint, models

TEXT = (DOCS / "export.md").read_text("utf-8")
COMMANDS = re.findall(r"^python -m comparisons (.+)$", TEXT, re.M)


def test_the_examples_run(tmp_path: Path, monkeypatch) -> None:
    """In a folder with a checkpoint, and the weights that `export` makes of it."""
    monkeypatch.chdir(tmp_path)
    checkpoint.save("last.safetensors", model=models.MLP(), config={
        "task": "mnist-mlp", "dataset": "mnist", "shape": [1, 28, 28],
        "classes": [str(digit) for digit in range(10)], "options": {}})
    assert main(["export", "last.safetensors", "weights.safetensors"]) == 0
    _, count = run_snippets("export.md")
    assert count == 7


def test_its_commands_are_taken() -> None:
    assert len(COMMANDS) == 4
    for command in COMMANDS:
        words = shlex.split(command)
        assert parser(words).parse_args(words).command == "export"
    for target in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (DOCS / target).exists(), target
