"""docs/doctor.md is true: its snippets print what it shows, and it lists every kind of finding."""

from __future__ import annotations

import re
from pathlib import Path

from pages import DOCS, run_snippets

from minigrad.inspect import doctor

PAGE = "doctor.md"


def test_the_page_shows_what_is_printed() -> None:
    _, count = run_snippets(PAGE)
    assert count == 6
    assert len((DOCS / PAGE).read_text(encoding="utf-8").splitlines()) <= 150


def test_every_kind_of_finding_is_listed() -> None:
    source = "".join(path.read_text(encoding="utf-8")
                     for path in Path(doctor.__file__).parent.glob("*.py"))
    kinds = set(re.findall(r'Finding\(\s*"(\w+)"', source)) | {"relu_output", "limited_output",
                                                               "softmax_twice", "sigmoid_twice"}
    listed = set(re.findall(r"`(\w+)`", (DOCS / PAGE).read_text(encoding="utf-8")))
    assert kinds - listed == set()
