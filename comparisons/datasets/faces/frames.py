"""The choice of the frames of a recording that show its expression."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Frames:
    """The last frames of a recording and, optionally, its first frame as a neutral face."""

    last: int = 3
    neutral: bool = False

    @classmethod
    def parse(cls, text: str) -> Frames:
        """Read `last:N`, `peak` (the last) or `neutral-to-peak` (the first and the last three).

        Raises: ValueError if the text is none of these.
        """
        if text == "peak":
            return cls(1)
        if text == "neutral-to-peak":
            return cls(3, neutral=True)
        kind, _, number = text.partition(":")
        if kind != "last" or not number.isdecimal() or int(number) < 1:
            raise ValueError(f"must be last:N with N from 1, peak or neutral-to-peak; got {text}")
        return cls(int(number))
