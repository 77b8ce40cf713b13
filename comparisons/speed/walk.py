"""The walks: how a computation becomes fast, from the naive way to the kernel, step by step.

All steps of a walk compute the same, and their outputs are compared in the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from comparisons.speed import limits
from comparisons.speed.clock import digits
from comparisons.speed.walks import attention, convolution, layer_norm, one_item
from comparisons.speed.walks.steps import Row, Table
from comparisons.training import environment
from minigrad.kernels import load_numba, thread_count

WALKS: dict[str, Any] = {"convolution": convolution, "layer-norm": layer_norm,
                         "attention": attention, "one-item": one_item}
TABLES: dict[str, Table] = {table.name: table for walk in WALKS.values() for table in walk.TABLES}
NOTES = "\n".join([
    *(walk.NOTES for walk in WALKS.values()),
    "ms and µs: medians. share: the least time that the machine's limits allow, over the time."])


def run(names: Sequence[str], seed: int) -> Iterator[Row]:
    """Measure the walks of these names; print and yield each row."""
    load_numba()                        # with the threads that the kernels have
    machine = limits.measured(thread_count())
    known = {"machine": asdict(machine), "threads": environment.threads()}
    print(f"copy {digits(machine.copy_gbs)} GB/s, matrix product "
          f"{digits(machine.gemm_gflops)} GFLOP/s")
    for name in names:
        table = None
        for row in WALKS[name].run(np.random.default_rng(seed), machine):
            if table is not (table := TABLES[row["table"]]):
                print("\n" + table.line([table.name, *[*table.columns][1:]]))
            print(table.line(table.cells(row)), flush=True)
            yield {"walk": name} | row | known
    print()
