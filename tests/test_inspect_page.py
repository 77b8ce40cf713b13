"""docs/inspect.md is true: its snippets print what it shows, and its pictures are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pages import DOCS, run_snippets

import minigrad as mg
from minigrad.inspect import draw
from minigrad.models.dexpression import DeXpression

PAGE = "inspect.md"


def test_snippets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)                 # where the page's files are written
    names, count = run_snippets(PAGE)
    assert count == 6
    assert names["data"]["loss"] == 2


def test_pictures_are_small_and_there() -> None:
    text = (DOCS / PAGE).read_text(encoding="utf-8")
    pictures = set(re.findall(r'(?:src|srcset)="([^"]+)"', text))
    assert len(pictures) == 8
    for picture in pictures:
        assert (DOCS / picture).stat().st_size <= 150_000, picture
    assert 'alt=""' not in text


def test_the_numbers_in_the_text() -> None:
    picture = draw(DeXpression(size=32), mg.randn(1, 1, 32, 32))
    assert sum(vertex.kind == "op" for vertex in picture.graph.vertices) == 24
