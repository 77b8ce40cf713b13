"""The README keeps its promises: its snippets print what it says, its line counts are true.

`python tests/test_readme.py` brings the line counts up to date.
"""

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")
COUNT = re.compile(r"^(\| \d+ \| \[`(?P<file>[^`]+)`\]\([^)]+\) \| )(?P<lines>\d+)( \|)", re.M)
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


def test_line_counts_are_true():
    told = {m["file"]: int(m["lines"]) for m in COUNT.finditer(TEXT)}
    assert len(told) >= 8
    assert told == {file: lines_of(file) for file in told}


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", TEXT):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def lines_of(file: str) -> int:
    return len((ROOT / file).read_text(encoding="utf-8").splitlines())


if __name__ == "__main__":
    README.write_text(COUNT.sub(lambda m: f"{m[1]}{lines_of(m['file'])}{m[4]}", TEXT),
                      encoding="utf-8")
