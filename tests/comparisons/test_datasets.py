"""The comparisons' data: what is read is right; what is wrong with a file is said in one line."""

import gzip
import hashlib
import re
import shutil
import socket
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from comparisons.datasets.base import EMBEDDED, cache_folder
from comparisons.datasets.diabetes import FILE, SHA256, impute_and_scale, load_diabetes
from comparisons.datasets.drawn.data import generated
from comparisons.datasets.drawn.generator import CLIPS, RECIPES, generate
from comparisons.datasets.faces.reader import load_faces
from comparisons.datasets.mnist import (
    SUBSET,
    SUBSET_SHA256,
    download_mnist,
    load_mnist,
    load_subset,
    read_idx,
)
from comparisons.datasets.regression import load_regression
from comparisons.datasets.splits import (
    clip_split,
    overlap,
    person_split,
    random_split,
    stratified_folds,
)
from comparisons.errors import DataError


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch, tmp_path):
    """No test sees data that happen to lie on the machine."""
    monkeypatch.delenv("MINIGRAD_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def one_line(info):
    """The message of a raised DataError, which is one line."""
    message = str(info.value)
    assert "\n" not in message
    return message


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
    assert one_line(info) == f"{tmp_path / name}: No such file or directory"
    content = bytearray((EMBEDDED / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as info:
        load(tmp_path)
    assert one_line(info).startswith(f"{tmp_path / name}: damaged")


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


# ---- splits --------------------------------------------------------------------------------------

@given(counts=st.lists(st.integers(1, 40), min_size=1, max_size=4), folds=st.integers(2, 10),
       repeats=st.integers(1, 3), seed=st.integers(0, 1000))
@settings(deadline=None)
def test_stratified_folds(counts, folds, repeats, seed):
    y = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    if len(y) < folds:
        with pytest.raises(ValueError, match="folds must be from 2 to the number of groups"):
            list(stratified_folds(y, folds))
        return
    splits = list(stratified_folds(y, folds, repeats=repeats, seed=seed))
    assert len(splits) == folds * repeats
    for start in range(0, len(splits), folds):
        tests = [test for _, test in splits[start:start + folds]]
        np.testing.assert_array_equal(np.sort(np.concatenate(tests)), np.arange(len(y)))
        assert np.ptp([len(test) for test in tests]) <= 1
        for k in range(len(counts)):
            assert np.ptp([(y[test] == k).sum() for test in tests]) <= 1
    for train, test in splits:
        np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(len(y)))
    again = list(stratified_folds(y, folds, repeats=repeats, seed=seed))
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(splits, again, strict=True))


def test_repeats_and_seeds_shuffle_anew():
    y = np.arange(100) % 2
    tests = [tuple(test) for seed in range(3)
             for _, test in stratified_folds(y, 5, repeats=4, seed=seed)]
    assert len(set(tests)) == len(tests)


@pytest.fixture(scope="module")
def faces():
    return generated(16)


def splits_of(faces, protocol, folds=5, seed=0):
    split = {"person": lambda k: person_split(faces.subjects, faces.y, k, folds, seed),
             "clip": lambda k: clip_split(faces.clips, faces.y, k, folds, seed),
             "random": lambda k: random_split(faces.y, k, folds, seed)}[protocol]
    return [split(k) for k in range(folds)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("folds", [5, 10])
@pytest.mark.parametrize("protocol", ["person", "clip", "random"])
def test_splits_cover_everything_once_and_keep_classes_even(faces, protocol, folds, seed):
    splits = splits_of(faces, protocol, folds, seed)
    np.testing.assert_array_equal(np.sort(np.concatenate([test for _, test in splits])),
                                  np.arange(981))
    share = np.bincount(faces.y) / 981
    for train, test in splits:
        assert not set(train) & set(test)
        assert len(train) + len(test) == 981
        assert len(test) == pytest.approx(981 / folds, abs=25)
        # a group is three images or more: a class may be off by one or two of them
        assert np.abs(np.bincount(faces.y[test], minlength=7) - share * len(test)).max() <= 10


def test_what_each_protocol_keeps_apart(faces):
    for train, test in splits_of(faces, "person"):
        assert overlap(faces.subjects, train, test) == 0
        assert overlap(faces.clips, train, test) == 0
    for train, test in splits_of(faces, "clip"):
        assert overlap(faces.clips, train, test) == 0
        assert overlap(faces.subjects, train, test) > 0.5
    for train, test in splits_of(faces, "random"):
        assert overlap(faces.clips, train, test) > 0.9
        assert overlap(faces.subjects, train, test) > 0.95


def test_overlap_is_a_share_of_the_test_rows():
    groups = np.array(list("aabbc"))
    assert overlap(groups, np.array([0, 2]), np.array([1, 3, 4])) == pytest.approx(2 / 3)


def test_splits_refuse_a_fold_that_is_not_there(faces):
    with pytest.raises(ValueError, match="fold must be from 0 to 4; got 5"):
        random_split(faces.y, 5, 5)
    with pytest.raises(ValueError, match="folds must be from 2 to the number of groups, 118; got"):
        person_split(faces.subjects, faces.y, 0, 119)


# ---- MNIST ---------------------------------------------------------------------------------------

def idx(array, magic=b"\0\0\x08"):
    sizes = b"".join(n.to_bytes(4, "big") for n in array.shape)
    return magic + bytes([array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def write_mnist(folder, packed=False, n=(6, 4)):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    arrays = {}
    for part, count in zip(("train", "t10k"), n, strict=True):
        arrays[f"{part}-images-idx3-ubyte"] = rng.integers(0, 256, (count, 28, 28))
        arrays[f"{part}-labels-idx1-ubyte"] = rng.integers(0, 10, count)
    for name, array in arrays.items():
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
        else:
            (folder / name).write_bytes(idx(array))
    return arrays


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("inside", [".", "mnist", "MNIST/raw"])
def test_mnist_reads_idx_plain_and_packed(tmp_path, packed, inside):
    arrays = write_mnist(tmp_path / inside, packed)
    data = load_mnist(tmp_path)
    assert data.name == "mnist"
    assert data.source.startswith(f"MNIST in {tmp_path / inside}: 6 digits")
    for x, y, part in ((data.x, data.y, "train"), (data.x_test, data.y_test, "t10k")):
        assert (x.dtype, y.dtype) == (np.float32, np.int64)
        np.testing.assert_array_equal(x[:, 0], np.float32(arrays[f"{part}-images-idx3-ubyte"])
                                      / np.float32(255))
        np.testing.assert_array_equal(y, arrays[f"{part}-labels-idx1-ubyte"])


IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
FAULTS = {
    "missing": (IMAGES, lambda b: None, "no such file, plain or .gz"),
    "empty": (IMAGES, lambda b: b"", "no IDX file of unsigned bytes (it starts with nothing)"),
    "wrong magic": (IMAGES, lambda b: b"\0\0\x0d\x03" + b[4:],
                    "no IDX file of unsigned bytes (it starts with 00 00 0d 03)"),
    "cut in the header": (IMAGES, lambda b: b[:10], "ends within its header, after 10 bytes"),
    "cut": (IMAGES, lambda b: b[:-1], "4,719 bytes, but its header says 4,720"),
    "too long": (IMAGES, lambda b: b + b"\0", "4,721 bytes, but its header says 4,720"),
    "cut gzip": (IMAGES, lambda b: gzip.compress(b)[:-9], "Compressed file ended"),
    "broken gzip": (IMAGES, lambda b: gzip.compress(b)[:30] + b"\xff" * 99, ""),
    "fewer labels": (LABELS, lambda b: idx(np.zeros(5)), "5 labels for 6 images"),
    "no digit": (LABELS, lambda b: idx(np.full(6, 11)), "a label is 11, but digits are 0 to 9"),
    "labels of 2-d": (LABELS, lambda b: idx(np.zeros((6, 1))),
                      "expected labels of (N,); got (6, 1)"),
    "other images": (IMAGES, lambda b: idx(np.zeros((6, 32, 32))),
                     "expected images of (N, 28, 28); got (6, 32, 32)"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_an_mnist_file_is_named(tmp_path, fault):
    write_mnist(tmp_path)
    name, damage, message = FAULTS[fault]
    content = damage((tmp_path / name).read_bytes())
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as info:
        load_mnist(tmp_path)
    assert one_line(info).startswith(f"{tmp_path / name}: {message}")


def test_no_images_at_all_is_a_fault(tmp_path):
    write_mnist(tmp_path, n=(0, 4))
    with pytest.raises(DataError, match=re.escape(f"{tmp_path / IMAGES}: holds no image")):
        load_mnist(tmp_path)


def test_read_idx_of_any_number_of_dimensions(tmp_path):
    for shape in ((5,), (2, 3), (2, 0, 3), (1, 2, 3, 4)):
        array = np.random.default_rng(0).integers(0, 256, shape)
        (tmp_path / "a").write_bytes(idx(array))
        np.testing.assert_array_equal(read_idx(tmp_path / "a"), array)
    with pytest.raises(DataError, match=r"Is a directory|Permission denied"):
        read_idx(tmp_path)


def test_a_named_folder_must_hold_mnist(tmp_path):
    with pytest.raises(DataError) as info:
        load_mnist(tmp_path / "nowhere")
    assert one_line(info) == f"{tmp_path / 'nowhere'}: no such folder"
    with pytest.raises(DataError) as info:
        load_mnist(tmp_path)
    assert one_line(info) == f"{tmp_path / IMAGES}: no such file, plain or .gz"


def test_where_mnist_is_looked_for(tmp_path, monkeypatch):
    assert load_mnist().name == "mnist-subset"
    write_mnist(cache_folder() / "MNIST/raw", n=(3, 2))
    assert "3 digits" in load_mnist().source
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path))
    assert "3 digits" in load_mnist().source                    # the folder holds no MNIST
    write_mnist(tmp_path / "mnist", n=(5, 2))
    assert "5 digits" in load_mnist().source
    write_mnist(tmp_path / "named", n=(7, 2))
    assert "7 digits" in load_mnist(tmp_path / "named").source
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path / "gone"))
    with pytest.raises(DataError) as info:
        load_mnist()
    assert one_line(info) == f"{tmp_path / 'gone'}: no such folder (named by MINIGRAD_DATA)"


def test_half_an_mnist_is_a_fault_wherever_it_lies(tmp_path, monkeypatch):
    write_mnist(tmp_path, packed=True)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path))
    with pytest.raises(DataError, match="t10k-labels-idx1-ubyte: no such file"):
        load_mnist()


def test_the_subset():
    data = load_mnist()
    assert data.x.shape == (10000, 1, 28, 28)
    assert data.x_test.shape == (2000, 1, 28, 28)
    assert (data.x.min(), data.x.max(), data.x.dtype) == (0, 1, np.float32)
    assert np.bincount(data.y).tolist() == [1000] * 10
    assert np.bincount(data.y_test).tolist() == [200] * 10
    assert data.source == ("the embedded subset (mnist-subset.npz): "
                           "10,000 digits to learn from and 2,000 to test on")


def test_a_download_that_fails_is_one_line_and_no_noise(tmp_path, monkeypatch, capfd):
    from torchvision.datasets import MNIST
    with socket.create_server(("127.0.0.1", 0)) as server:      # it accepts and never answers
        monkeypatch.setattr(MNIST, "mirrors", [f"http://127.0.0.1:{server.getsockname()[1]}/"])
        with pytest.raises(DataError) as info:
            download_mnist(tmp_path / "target", timeout=0.5)
    assert one_line(info).startswith(f"{tmp_path / 'target'}: cannot download MNIST")
    assert capfd.readouterr() == ("", "")
    assert not (tmp_path / "target").exists()


@pytest.fixture
def server(tmp_path):
    """The address and the folder of a small web server."""
    class Silent(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    folder = tmp_path / "server"
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(folder))) as web:
        thread = threading.Thread(target=web.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{web.server_port}/", folder
        web.shutdown()
        thread.join()


def test_a_download_that_succeeds_is_found(server, monkeypatch, capfd):
    from torchvision.datasets import MNIST
    address, folder = server
    write_mnist(folder, packed=True)
    files = sorted(folder.iterdir())
    monkeypatch.setattr(MNIST, "mirrors", [address])
    monkeypatch.setattr(MNIST, "resources", [
        (path.name, hashlib.md5(path.read_bytes()).hexdigest()) for path in files])
    assert download_mnist() == cache_folder()
    assert "6 digits" in load_mnist().source
    assert capfd.readouterr() == ("", "")
    shutil.rmtree(cache_folder())
    monkeypatch.setattr(MNIST, "resources", [(path.name, "0" * 32) for path in files])
    with pytest.raises(DataError, match="cannot download MNIST"):
        download_mnist()
    assert capfd.readouterr() == ("", "")


# ---- faces ---------------------------------------------------------------------------------------

def test_faces_come_in_ck_plus_counts(faces):
    assert faces.x.shape == (981, 1, 16, 16)
    assert faces.x.dtype == np.float32
    assert 0 <= faces.x.min() < faces.x.max() <= 1
    assert faces.classes == sorted(CLIPS)
    assert len(np.unique(faces.subjects)) == 118
    clips, first, count = np.unique(faces.clips, return_index=True, return_counts=True)
    assert len(clips) == 327
    assert (count == 3).all()
    assert np.bincount(faces.y[first]).tolist() == [45, 18, 59, 25, 69, 28, 83]
    for clip in clips:
        rows = faces.clips == clip
        assert len(set(faces.y[rows])) == 1
        assert set(faces.subjects[rows]) == {clip[:4]}
    assert len(set(zip(faces.subjects[first], faces.y[first], strict=True))) == 327
    assert faces.source.startswith("faces generated with seed 0: 981 images of 16 px")


# Lucey et al. 2010, table 1: all units of at least one of the sets
CRITERIA = {"anger": [{23, 24}], "disgust": [{9}, {10}], "fear": [{1, 2, 4}], "happy": [{12}],
            "sadness": [{1, 4, 15}, {11}], "surprise": [{1, 2}, {5}], "contempt": [{14}]}


@pytest.mark.parametrize("name", CLIPS)
def test_every_variant_of_an_expression_meets_ck_plus_criteria(name):
    for _, units in RECIPES[name]:
        certain = {unit for unit, chance in units.items() if chance == 1}
        assert any(needed <= certain for needed in CRITERIA[name])


def test_faces_are_a_function_of_size_and_seed(faces):
    again, other, larger = generated(16), generated(16, seed=1), generated(32)
    np.testing.assert_array_equal(again.x, faces.x)
    assert np.abs(other.x - faces.x).mean() > 0.1
    np.testing.assert_array_equal(larger.y, faces.y)
    np.testing.assert_array_equal(larger.clips, faces.clips)
    shrunk = larger.x.reshape(981, 16, 2, 16, 2).mean((2, 4))
    alike = [np.corrcoef(a.ravel(), b.ravel())[0, 1]
             for a, b in zip(shrunk, faces.x[:, 0], strict=True)]
    assert np.median(alike) > 0.9


def test_no_two_faces_are_equal_and_frames_of_a_clip_are_alike(faces):
    assert len(np.unique(faces.x.reshape(981, -1), axis=0)) == 981
    frames = faces.x.reshape(327, 3, -1)
    within = np.abs(frames[:, 0] - frames[:, 2]).mean()
    between = np.abs(frames[:-1, 2] - frames[1:, 2]).mean()
    assert within < between / 3


def test_faces_refuse_what_they_cannot_do(tmp_path):
    with pytest.raises(ValueError, match="size must be at least 16 pixels; got 8"):
        generate(8)
    with pytest.raises(DataError, match=re.escape(str(tmp_path))):
        load_faces(tmp_path)
