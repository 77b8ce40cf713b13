"""The README keeps its promises: its snippets print what it says, and what it names is there."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from minigrad.__main__ import main

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", TEXT, re.S)


def run(snippet: str) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(snippet, "README.md", "exec"), {})
    return printed.getvalue()


def test_both_snippets_print_the_output_shown():
    shown = re.search(r"```text\n(.*?)```", TEXT, re.S)
    ours, torchs = SNIPPETS[:2]
    assert "import minigrad" in ours
    assert "import torch" in torchs
    assert run(ours) == run(torchs) == shown[1]


@pytest.mark.parametrize("snippet", SNIPPETS[2:])
def test_other_snippets_run(snippet):
    run(snippet)


def test_the_reading_list_can_be_printed_with_its_line_counts(capsys):
    assert main(["reading"]) == 0
    *files, total = capsys.readouterr().out.splitlines()
    assert len(files) >= 8
    counts = {file: int(lines) for lines, file in map(str.split, files)}
    assert counts["minigrad/autograd.py"] == len(
        (ROOT / "minigrad" / "autograd.py").read_text(encoding="utf-8").splitlines())
    assert total.split() == [str(sum(counts.values())), "together"]


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", TEXT):
        assert target.startswith("https://") or (ROOT / target).exists(), target
