"""Expressions by their names. Every source numbers them differently, so no number goes further."""

from __future__ import annotations

import re

NAMES = ("anger", "contempt", "disgust", "fear", "happy", "neutral", "sadness", "surprise")
TREE_CODES = ("neutral", "anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
"""CK+'s Emotion files (Lucey et al. 2010)."""
TABLE_CODES = ("anger", "disgust", "fear", "happy", "sadness", "surprise", "neutral", "contempt")
"""fer2013.csv, and ckextended.csv after it."""

ALSO = {"angry": "anger", "contemptuous": "contempt", "disgusted": "disgust", "fearful": "fear",
        "afraid": "fear", "happiness": "happy", "joy": "happy", "sad": "sadness",
        "surprised": "surprise", "suprise": "surprise"}


def expression(word: str) -> str | None:
    """The expression that a folder or a table names: "Happiness" and "03_happy" are happy.

    None if it names none; a number alone does not.
    """
    letters = re.sub(r"[^a-z]", "", word.lower())
    name = ALSO.get(letters, letters)
    return name if name in NAMES else None
