"""The lessons are true: every snippet prints what is shown."""

from __future__ import annotations

import pytest
from pages import DOCS, run_snippets

LESSONS = sorted(path.name for path in (DOCS / "lessons").glob("[0-9]*.md"))


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_shows_what_is_printed(lesson: str) -> None:
    _, count = run_snippets(f"lessons/{lesson}")
    assert count >= 3


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_is_short_and_ends_with_an_exercise(lesson: str) -> None:
    text = (DOCS / "lessons" / lesson).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 190
    assert "**Exercise.**" in text.rpartition("\n\n")[2]


def test_all_are_listed() -> None:
    page = (DOCS / "lessons" / "README.md").read_text(encoding="utf-8")
    assert [name for name in LESSONS if f"({name})" not in page] == []
    assert len(LESSONS) == 10
