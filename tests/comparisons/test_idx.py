"""IDX data are named by what they are, and the networks fit them."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running import message, one_line, run_of
from untrained import grey

from comparisons import implementations
from comparisons.cli import main
from comparisons.datasets import idx
from comparisons.datasets.idx import KNOWN, ROLES, USUAL, Known
from comparisons.datasets.mnist import load_mnist
from comparisons.errors import DataError
from comparisons.tasks.registry import TASKS
from minigrad import checkpoint

pytestmark = pytest.mark.usefixtures("no_data_of_this_machine")


def contents(n: tuple[int, int] = (24, 12), size: tuple[int, int] = (8, 8), classes: int = 3,
             lowest: int = 0) -> dict[tuple[str, str], bytes]:
    """The four files of a dataset in which a light row tells the class."""
    rng, made = np.random.default_rng(0), {}
    for part, count in zip(("train", "t10k"), n, strict=True):
        y = np.arange(count) % classes
        x = rng.integers(0, 60, (count, *size))
        x[np.arange(count), y % size[0]] = 255
        for kind, array in (("images", x), ("labels", y + lowest)):
            shape = b"".join(d.to_bytes(4, "big") for d in array.shape)
            made[part, kind] = (bytes([0, 0, 8, array.ndim]) + shape
                                + array.astype(np.uint8).tobytes())
    return made


def write(folder: Path, made: dict[tuple[str, str], bytes], name: str = "{}") -> Path:
    """Write the files; name: a pattern of the paths, filled in with their usual names."""
    for role, content in made.items():
        path = folder / name.format(USUAL[role])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return folder


@pytest.fixture
def fashion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small dataset that stands in for Fashion-MNIST: its checksums are the known ones."""
    made = contents(classes=10, n=(40, 20), size=(28, 28))
    folder = write(tmp_path / "clothes", made, "{}.gz")
    sums = tuple(hashlib.md5((folder / f"{USUAL[role]}.gz").read_bytes()).hexdigest()
                 for role in ROLES)
    plain = tuple(hashlib.md5(made[role]).hexdigest() for role in ROLES)
    known = KNOWN[1]
    monkeypatch.setattr(idx, "KNOWN", (
        KNOWN[0], Known(known.name, known.title, known.noun, known.classes, sums, plain)))
    return folder


# ---- what they are -------------------------------------------------------------------------------

def test_the_known_checksums_are_torchvisions() -> None:
    from torchvision.datasets import KMNIST, MNIST, FashionMNIST
    for known, theirs in zip(KNOWN, (MNIST, FashionMNIST, KMNIST), strict=True):
        published = dict(theirs.resources)
        assert known.packed == tuple(published[f"{USUAL[role]}.gz"] for role in ROLES)
        if known.name != "mnist":
            assert known.classes == tuple(theirs.classes)


def test_known_files_have_their_name_and_classes(fashion: Path, tmp_path: Path) -> None:
    data = load_mnist(fashion)
    assert data.name == "fashion-mnist"
    assert data.source == (f"Fashion-MNIST in {fashion}: 40 training images and 20 test images of "
                           "28×28 pixels, 10 classes")
    assert data.classes[9] == "Ankle boot"
    for name in ("{}", "{0}/{0}"):              # unpacked, and as Kaggle packs MNIST
        made = contents(classes=10, n=(40, 20), size=(28, 28))
        assert load_mnist(write(tmp_path / name[:3], made, name)).name == "fashion-mnist"


def test_one_changed_bit_is_another_dataset(fashion: Path) -> None:
    path = fashion / f"{USUAL['t10k', 'labels']}.gz"
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[-1] ^= 1
    path.write_bytes(gzip.compress(content))
    data = load_mnist(fashion)
    assert (data.name, data.classes) == ("clothes", [str(k) for k in range(10)])


@pytest.mark.parametrize(("folder", "name"), [
    ("symbols", "symbols"), ("Symbols/raw", "symbols"), ("MNIST", "mnist-unverified"),
    ("MNIST/raw", "mnist-unverified"), ("KMNIST/raw", "kmnist-unverified")])
def test_other_data_are_named_after_their_folder(folder: str, name: str, tmp_path: Path) -> None:
    write(tmp_path / folder, contents())
    assert load_mnist(tmp_path / folder).name == name
    assert load_mnist(tmp_path).name == name                    # found below the folder as well


@pytest.mark.parametrize("pattern", [
    "{0}/{0}", "{0}.gz", "emnist-letters-{}.gz", "EMNIST-Letters-{}"])
def test_the_usual_ways_to_pack_are_read(pattern: str, tmp_path: Path) -> None:
    made = contents()
    folder = write(tmp_path / "some", made, pattern)
    for path in list(folder.iterdir()):         # names with a dot, and `test` for t10k
        if "0}/" not in pattern:
            path.rename(folder / path.name.replace("-idx", ".idx").replace("t10k", "test"))
    data = load_mnist(folder)
    assert data.name == ("emnist-letters" if "mnist" in pattern.lower() else "some")
    np.testing.assert_array_equal(data.x[0, 0], np.frombuffer(
        made["train", "images"][16:80], np.uint8).reshape(8, 8))


def test_several_datasets_are_told_apart(tmp_path: Path) -> None:
    write(tmp_path / "gzip", contents(classes=3), "emnist-digits-{}.gz")
    write(tmp_path / "gzip", contents(classes=4, lowest=1), "emnist-letters-{}.gz")
    with pytest.raises(DataError, match="holds several datasets; name a file of one: ") as info:
        load_mnist(tmp_path / "gzip")
    file = Path(message(info).rpartition(", ")[2])
    data = load_mnist(file)
    assert (data.name, data.classes) == ("emnist-letters", ["1", "2", "3", "4"])
    assert set(data.y) == {0, 1, 2, 3}
    write(tmp_path / "other", contents())
    with pytest.raises(DataError, match="name the folder of one: "):
        load_mnist(tmp_path)


def test_two_files_for_one_part_must_be_equal(tmp_path: Path) -> None:
    write(tmp_path / "a", contents(), "{}.gz")
    write(tmp_path / "a", contents())
    assert load_mnist(tmp_path / "a").name == "a"
    write(tmp_path / "a", contents(classes=4))
    with pytest.raises(DataError, match=r"-ubyte\.gz: differs from .*; keep only one of them"):
        load_mnist(tmp_path / "a")


# ---- the networks fit them -----------------------------------------------------------------------

@pytest.mark.parametrize(("classes", "size"), [(47, (28, 28)), (20, (32, 32)), (3, (20, 9))])
def test_both_sides_build_the_network_for_the_data(classes: int, size: tuple[int, int],
                                                   tmp_path: Path) -> None:
    data = load_mnist(write(tmp_path / "any", contents((classes, classes), size, classes)))
    assert (len(data.classes), data.x.shape[2:]) == (classes, size)
    for name in ("mnist-mlp", "mnist-cnn"):
        task = TASKS[name]
        shapes = []
        for impl in map(implementations.get, implementations.NAMES):
            model = impl.new_model(lambda impl, task=task: task.model(impl, data, task.options()),
                                   0, np.float32)
            assert impl.predict(model, data.x[:2]).shape == (2, classes)
            shapes.append({key: w.shape for key, w in impl.weights(model).items()})
        assert shapes[0] == shapes[1]


def test_images_too_small_for_the_network_are_one_line(tmp_path: Path, capsys: Any) -> None:
    write(tmp_path / "tiny", contents(size=(3, 9)))
    assert main(["run", "mnist-cnn", "--data", str(tmp_path / "tiny"), "--out",
                 str(tmp_path / "out")]) == 1
    assert "tiny: its images have 3×9 pixels" in one_line(capsys)


# ---- everything carries the name -----------------------------------------------------------------

def test_table_page_checkpoint_and_results_carry_the_name(fashion: Path, tmp_path: Path,
                                                          capsys: Any) -> None:
    out = tmp_path / "out"
    argv = ["run", "mnist-mlp", "--impl", "minigrad", "--epochs", "1", "--out", str(out), "--data"]
    assert main([*argv, str(fashion)]) == 0
    told = capsys.readouterr().out
    assert "Fashion-MNIST, perceptron 784-500-10: Fashion-MNIST in" in told
    assert "fashion-mnist, 40 + 20" in told
    record = run_of(out, "mnist-mlp", "minigrad")
    assert (record["dataset"], record["title"]) == ("fashion-mnist",
                                                    "Fashion-MNIST, perceptron 784-500-10")
    page = (out / "report.html").read_text()
    assert "Fashion-MNIST, perceptron 784-500-10" in page
    assert "Ankle boot" in page
    assert "MNIST, perceptron" not in page.replace("Fashion-MNIST, perceptron", "")
    path = out / record["checkpoint"]
    assert checkpoint.load(path).config["dataset"] == "fashion-mnist"

    # used on something else, the checkpoint says what it was trained on
    other = write(tmp_path / "symbols", contents(classes=10, n=(40, 20), size=(28, 28)), "{}")
    (other / USUAL["t10k", "labels"]).write_bytes(
        (other / USUAL["t10k", "labels"]).read_bytes()[:-1] + b"\3")
    assert main([*argv, str(other), "--resume"]) == 1
    assert "it was trained with dataset fashion-mnist, not symbols" in one_line(capsys)
    grey(np.eye(28)).save(tmp_path / "boot.png")
    answers = tmp_path / "answers.json"
    assert main(["predict", str(path), str(tmp_path / "boot.png"), "--json", str(answers)]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"{path}: mnist-mlp, trained on fashion-mnist\n")
    assert "boot.png: 1 image\n" in told
    assert json.loads(answers.read_text())["dataset"] == "fashion-mnist"
    assert main(["predict", str(path), str(tmp_path / "boot.png"), "--whole"]) == 1
    assert "--whole: mnist-mlp, trained on fashion-mnist, takes each" in one_line(capsys)


def test_a_path_that_is_not_utf_8_loses_no_results(tmp_path: Path) -> None:
    folder = write(tmp_path / os.fsdecode(b"caf\xe9"), contents())
    out = tmp_path / "out"
    assert main(["run", "mnist-mlp", "--impl", "minigrad", "--epochs", "1", "--data", str(folder),
                 "--out", str(out)]) == 0
    record = run_of(out, "mnist-mlp", "minigrad")
    assert record["dataset"] == "caf\ufffd"
    assert str(folder) in record["source"]
    assert "caf\ufffd, 24 + 12" in (out / "report.html").read_text()
    assert checkpoint.load(out / record["checkpoint"]).config["dataset"] == "caf\ufffd"


def test_two_datasets_do_not_stand_side_by_side(tmp_path: Path, capsys: Any) -> None:
    out = ["--epochs", "1", "--out", str(tmp_path / "out")]
    for name, impl in (("one", "minigrad"), ("Number 2", "torch")):
        folder = write(tmp_path / name, contents())
        assert main(["run", "mnist-mlp", "--impl", impl, "--data", str(folder), *out]) == 0
    page = (tmp_path / "out" / "report.html").read_text()
    for name in ("one", "number-2"):
        assert f'<section id="mnist-mlp:{name}">' in page
    assert "one, 24 + 12" in page
    assert "number 2, 24 + 12" in page
