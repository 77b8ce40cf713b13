"""How the time of a training step grows with the batch and with the image, without compilation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from comparisons import implementations
from comparisons.speed import layers
from comparisons.speed.clock import digits, spread
from comparisons.speed.models import Case, measure

SECONDS = 2.0                           # to spend on each row
BATCHES = (1, 8, 32, 128)
BATCH_CASES = tuple(replace(case, batch=batch) for case in layers.CASES[:5] for batch in BATCHES)
SIZE_CASES = tuple(Case("dexpression", 16, size, "paper") for size in (48, 96, 160, 224))

HEADER = (f"{'model':27}{'batch':>6}{'minigrad ms':>25}{'PyTorch ms':>25}"
          f"{'minigrad µs per item':>21}{'PyTorch':>10}{'ratio':>8}{'losses':>9}")
NOTES = """\
ms: median (first quartile … third quartile) of a training step. ratio: PyTorch's time over
minigrad's. losses: their largest difference in the first steps, relative to the change of the
loss."""


def run(batch_cases: Sequence[Case], size_cases: Sequence[Case], seed: int
        ) -> Iterator[dict[str, Any]]:
    """Measure each case; print and yield its row."""
    for grows, cases in (("batch", batch_cases), ("size", size_cases)):
        if cases:
            print(f"\nas the {'batch' if grows == 'batch' else 'image'} grows\n{HEADER}")
        for case in cases:
            row = measure(case, seed, implementations.NAMES, SECONDS) | {"grows": grows}
            ours, theirs = (row[name] for name in implementations.NAMES)
            each = [digits(side["median_ms"] * 1e3 / case.batch) for side in (ours, theirs)]
            print(f"{case.title:27}{case.batch:6}{spread(ours):>25}{spread(theirs):>25}"
                  f"{each[0]:>21}{each[1]:>10}{row['ratio_torch']:8.2f}"
                  f"{row['loss_difference']:9.0e}", flush=True)
            yield row
