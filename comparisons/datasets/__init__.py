"""The data of the five tasks, each behind one function that says what it loaded from where."""

from comparisons.datasets.base import (
    Data as Data,
    DataError as DataError,
    NotThereError as NotThereError,
)
from comparisons.datasets.ck_frames import Frames as Frames
from comparisons.datasets.diabetes import (
    impute_and_scale as impute_and_scale,
    load_diabetes as load_diabetes,
)
from comparisons.datasets.face_writer import write_faces as write_faces
from comparisons.datasets.faces import generated as generated, load_faces as load_faces
from comparisons.datasets.mnist import download_mnist as download_mnist, load_mnist as load_mnist
from comparisons.datasets.regression import load_regression as load_regression
from comparisons.datasets.splits import (
    clip_split as clip_split,
    overlap as overlap,
    person_split as person_split,
    random_split as random_split,
    stratified_folds as stratified_folds,
)
