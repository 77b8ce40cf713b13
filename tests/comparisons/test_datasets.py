"""The embedded data: the files are intact, and what is read from them is right."""

import hashlib

import numpy as np
import pytest
from running import message
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from comparisons.datasets.base import EMBEDDED
from comparisons.datasets.diabetes import FILE, SHA256, impute_and_scale, load_diabetes
from comparisons.datasets.mnist import SUBSET, SUBSET_SHA256, load_subset
from comparisons.datasets.regression import load_regression
from comparisons.errors import DataError

# ---- embedded files ------------------------------------------------------------------------------

EMBEDDED_FILES = [(FILE, SHA256, load_diabetes), (SUBSET, SUBSET_SHA256, load_subset)]


@pytest.mark.parametrize(("name", "sha256", "_"), EMBEDDED_FILES)
def test_embedded_files_and_their_cards_agree(name, sha256, _):
    assert hashlib.sha256((EMBEDDED / name).read_bytes()).hexdigest() == sha256
    card = (EMBEDDED / "README.md").read_text().split(f"## {name}")[1].split("\n## ")[0]
    assert f"`{sha256}`" in card
    assert all(f"**{word}**" in card for word in ("What", "Origin", "Licence"))


@pytest.mark.parametrize(("name", "_", "load"), EMBEDDED_FILES)
def test_a_damaged_or_missing_embedded_file_is_named(name, _, load, tmp_path):
    with pytest.raises(DataError) as info:
        load(tmp_path)
    assert message(info) == f"{tmp_path / name}: No such file or directory"
    content = bytearray((EMBEDDED / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as info:
        load(tmp_path)
    assert message(info).startswith(f"{tmp_path / name}: damaged")


# ---- regression ----------------------------------------------------------------------------------

def test_regression_is_well_conditioned_and_solvable():
    data = load_regression()
    assert (data.x.shape, data.y.shape) == ((1000, 8), (1000, 1))
    assert (data.x_test.shape, data.y_test.shape) == ((200, 8), (200, 1))
    assert data.x.dtype == data.y.dtype == np.float64
    design = np.c_[data.x, np.ones(1000)]
    assert np.linalg.cond(design) < 1.5
    best, residual, *_ = np.linalg.lstsq(design, data.y, rcond=None)
    np.testing.assert_allclose(best[:, 0], [3, -2, 1.5, 0.5, -1, 2.5, 0, -0.5, 4], atol=0.06)
    assert residual[0] / 1000 == pytest.approx(0.25, rel=0.15)
    np.testing.assert_array_equal(data.x, load_regression(0).x)
    assert not np.array_equal(data.x, load_regression(1).x)


# ---- diabetes ------------------------------------------------------------------------------------

def test_diabetes_facts():
    data = load_diabetes()
    assert data.x.shape == (768, 8)
    assert np.bincount(data.y).tolist() == [500, 268]
    assert np.isnan(data.x).sum(0).tolist() == [0, 5, 35, 227, 374, 11, 0, 0]
    assert (np.nanmin(data.x[:, 1:6], axis=0) > 0).all()
    assert (data.x[:, 0] == 0).sum() == 111                     # no pregnancy is no gap
    np.testing.assert_array_equal(data.x[0], [6, 148, 72, 35, np.nan, 33.6, 0.627, 50])
    assert data.x_test is None
    assert "768 rows" in data.source


def test_imputation_equals_scikit_learns_and_learns_from_the_training_part_only():
    x = load_diabetes().x
    train, test = x[:500], x[500:]
    ours = impute_and_scale(train, test)
    judge = make_pipeline(SimpleImputer(strategy="median"), StandardScaler()).fit(train)
    np.testing.assert_allclose(ours[0], judge.transform(train), atol=1e-12)
    np.testing.assert_allclose(ours[1], judge.transform(test), atol=1e-12)
    other = test * 1000 + 7
    np.testing.assert_array_equal(impute_and_scale(train, other)[0], ours[0])
    np.testing.assert_array_equal(impute_and_scale(train, test[:1])[1], ours[1][:1])
    assert np.isnan(train).any()                                # the input is as it was


def test_imputation_refuses_a_column_it_learns_nothing_from():
    x = np.random.default_rng(0).random((5, 3))
    with pytest.raises(ValueError, match="column 1 of train has no value"):
        impute_and_scale(x * [1, np.nan, 1], x)
    with pytest.raises(ValueError, match="column 2 of train is constant"):
        impute_and_scale(x * [1, 1, 0], x)
