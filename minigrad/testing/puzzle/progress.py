"""What the reader has solved, and which hints were given: a small file in the current folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

FILE = "puzzle_progress.json"


class Fault(Exception):
    """What was asked for cannot be done; the message says why in one line."""


@dataclass
class Progress:
    """solved: the numbers of the puzzles. hints: how many were given, by number."""

    solved: list[int] = field(default_factory=list)
    hints: dict[str, int] = field(default_factory=dict)

    @classmethod
    def load(cls) -> Progress:
        """Raises: Fault if the file is not one that was written here."""
        if not Path(FILE).exists():
            return cls()
        try:
            found = json.loads(Path(FILE).read_text("utf-8"))
            return cls([int(n) for n in found["solved"]],
                       {str(int(n)): int(count) for n, count in found["hints"].items()})
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Fault(f"{FILE} is damaged, or is not a record of the puzzles; delete it to start "
                        "afresh") from None

    def save(self) -> None:
        new = Path(FILE + ".new")
        new.write_text(json.dumps(asdict(self)) + "\n", "utf-8")
        new.replace(FILE)
