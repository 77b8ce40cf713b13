"""Expressions by name. Sources number them differently, so readers convert numbers to names."""

from __future__ import annotations

import re

NAMES = ("anger", "contempt", "disgust", "fear", "happy", "neutral", "sadness", "surprise")
TREE_CODES = ("neutral", "anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")
"""The expressions in the order of their codes in CK+'s Emotion files (Lucey et al. 2010)."""
TABLE_CODES = ("anger", "disgust", "fear", "happy", "sadness", "surprise", "neutral", "contempt")
"""The expressions in the order of their codes in fer2013.csv and ckextended.csv."""

ALSO = {"angry": "anger", "contemptuous": "contempt", "disgusted": "disgust", "fearful": "fear",
        "afraid": "fear", "happiness": "happy", "joy": "happy", "sad": "sadness",
        "surprised": "surprise", "suprise": "surprise"}


def expression(word: str) -> str | None:
    """The expression that a word in a table or the name of a folder means, or None.

    "Happiness" and "03_happy" mean happy; a number alone has no meaning.
    """
    letters = re.sub(r"[^a-z]", "", word.lower())
    name = ALSO.get(letters, letters)
    return name if name in NAMES else None
