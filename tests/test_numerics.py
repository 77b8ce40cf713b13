"""docs/numerics.md is true: its snippets print what it shows, its tables hold on both sides."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from pages import DOCS, run_snippets

import minigrad.functional as F
from minigrad.tensor import Tensor

TEXT = (DOCS / "numerics.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([^`]+)` \| ([^|`]+) \| ([^|`]+) \|$", TEXT, re.M)


def test_every_snippet_prints_what_is_shown() -> None:
    _, count = run_snippets("numerics.md")
    assert count > 10


def numbers(text: str) -> list[float]:
    return [float(word.replace("∞", "inf")) for word in text.split(",")]


@pytest.mark.parametrize(("function", "x", "expected"), ROWS)
def test_gradients_at_kinks_and_zeros(function: str, x: str, expected: str) -> None:
    ours = Tensor(np.array(numbers(x)), True)
    eval(function, {"x": ours, "F": F}).sum().backward()
    torchs = torch.tensor(numbers(x), dtype=torch.float64, requires_grad=True)
    eval(function, {"x": torchs, "F": torch.nn.functional}).sum().backward()
    np.testing.assert_array_equal(ours.grad.data, torchs.grad.numpy())
    np.testing.assert_allclose(ours.grad.data, numbers(expected), rtol=1e-12)


def test_both_tables_are_read() -> None:
    assert len(ROWS) == TEXT.count("\n| `") > 20
