"""Progress of training: a bar on a terminal, lines of text elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

LINES = 6               # about the number of lines for each training, if there is no bar


class Progress:
    """Shows the progress of one run over all its trainings."""

    def __init__(self, title: str, epochs: int, batches: int, shown: bool = True) -> None:
        self.title, self.epochs = title, epochs
        self.bar: Any = None
        if shown and sys.stderr is not None and sys.stderr.isatty():
            from tqdm import tqdm
            self.bar = tqdm(total=batches, desc=title, unit=" batches", leave=False,
                            dynamic_ncols=True)

    def skip(self, batches: int) -> None:
        if self.bar is not None:
            self.bar.update(batches)

    def epoch(self, split: str, entry: dict[str, Any]) -> None:
        """Show a finished epoch. entry: its entry in the history."""
        shown = {k: v for k, v in entry.items() if k not in ("fold", "epoch", "seconds")}
        figures = {k.replace("_", " "): f"{v:.2%}" if k.endswith("accuracy") else f"{v:.3g}"
                   for k, v in shown.items()}
        number = entry["epoch"] + 1
        if self.bar is not None:
            self.bar.set_postfix(figures)
        elif number == self.epochs or number % max(1, self.epochs // LINES) == 0:
            where = f"{split}, " if split else ""
            told = ", ".join(f"{k} {v}" for k, v in figures.items())
            print(f"  {self.title}: {where}epoch {number}/{self.epochs}, {told}", flush=True)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


class Watched:
    """A DataLoader that advances the bar after each batch."""

    def __init__(self, loader: Any, progress: Progress) -> None:
        self.loader, self.progress = loader, progress
        self.set_epoch = loader.set_epoch

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        for batch in self.loader:
            yield batch
            if self.progress.bar is not None:
                self.progress.bar.update(1)
