"""The Pima Indians diabetes table: who of 768 women had diabetes within five years.

`diabetes_table.py` reads a table of the same kind from the user's own file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from comparisons.datasets.base import EMBEDDED, Array, Data, read_embedded
from comparisons.datasets.records import MISSING_TOLD

FILE = "pima-indians-diabetes.csv"
SHA256 = "712ff64dd88ef8c18e038d116c9744aa51652cb9019e59582ebf5e29b11f2928"
FEATURES = ("pregnancies", "glucose", "blood pressure", "skin fold", "insulin", "body mass index",
            "pedigree", "age")
CLASSES = ("no diabetes", "diabetes")
ZERO_IS_MISSING = slice(1, 6)       # in a living person, glucose to body mass index are never 0
MISSING = f"a 0 from glucose to body mass index, {MISSING_TOLD}"


def load_diabetes(folder: Path = EMBEDDED) -> Data:
    """The table in its usual row order; a measurement that was not taken is NaN.

    Shapes: x (768, 8) float64, y (768,) int64 in {0, 1}. There is no test set: the task splits.
    Raises: DataError if the embedded file is missing or damaged.
    """
    lines = read_embedded(FILE, SHA256, folder).decode().splitlines()
    table = np.loadtxt(lines, delimiter=",", skiprows=1)
    x, y = table[:, :-1], table[:, -1].astype(np.int64)
    measured = x[:, ZERO_IS_MISSING]
    measured[measured == 0] = np.nan
    return Data("pima-diabetes", f"Pima Indians diabetes, embedded: {told(x, y)}", x, y,
                classes=list(CLASSES))


def told(x: Array, y: Array) -> str:
    """The size of a table in words, and which values mean missing."""
    return (f"{len(x):,} rows, 8 features, {y.sum():,} with diabetes ({y.mean():.1%}), "
            f"{np.isnan(x).sum():,} values missing ({MISSING})")


def impute_and_scale(train: Array, test: Array) -> tuple[Array, Array]:
    """Replace NaN by the median and standardise, using statistics of `train` alone.

    x ↦ (x' - mean) / std, where x' is x, or the median of its column where x is NaN; mean and
    std (of the population) are taken over the imputed training set.

    Shapes: train (N, F), test (M, F) → the same.
    Raises: ValueError if a column of `train` holds no value, or the same value everywhere.
    """
    missing = np.isnan(train).all(0)
    if missing.any():
        raise ValueError(f"impute_and_scale: column {missing.argmax()} of train has no value")
    median = np.nanmedian(train, axis=0)
    train, test = (np.where(np.isnan(x), median, x) for x in (train, test))
    mean, std = train.mean(0), train.std(0)
    if (std == 0).any():
        raise ValueError(f"impute_and_scale: column {(std == 0).argmax()} of train is constant")
    return (train - mean) / std, (test - mean) / std
