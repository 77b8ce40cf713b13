"""What data there is on this machine, what there is not, and how to get it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from comparisons.datasets import Data, DataError, load_diabetes
from comparisons.datasets.base import EMBEDDED, cache_folder, search_folders
from comparisons.datasets.mnist import SUBSET, load_mnist, load_subset


def text() -> str:
    """A paragraph a dataset."""
    folders = "\n".join(f"  {folder}{'' if folder.is_dir() else '  (not there)'}"
                        for folder in search_folders())
    return f"""regression
  here: generated from --seed

diabetes
  {embedded(load_diabetes, EMBEDDED / 'pima-indians-diabetes.csv')}

mnist-mlp, mnist-cnn
  {embedded(load_subset, EMBEDDED / SUBSET)}
  {full_mnist()}

dexpression
  here: generated faces, as many as CK+ has, of persons who do not exist

Folders that are searched when --data names none ($MINIGRAD_DATA first):
{folders}"""


def embedded(load: Callable[[], Data], path: Path) -> str:
    try:
        return f"here: {load().source}"
    except DataError as error:
        return f"MISSING: {error}; it comes with the project: git checkout -- {path}"


def full_mnist() -> str:
    try:
        data = load_mnist()
    except DataError as error:
        return f"DAMAGED: {error}"
    if data.name == "mnist":
        return f"here: {data.source}"
    return (f"not here: the full 60,000 + 10,000 digits. `python -m comparisons run mnist-mlp` "
            f"downloads them\n  where there is internet; or put the four IDX files, .gz or not, "
            f"into {cache_folder()}\n  or any folder, and name that folder with --data")
