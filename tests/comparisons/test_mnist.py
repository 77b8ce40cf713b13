"""IDX files: what is read is what they hold; what is wrong with one is said in one line."""

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
from running import message

from comparisons.datasets.base import cache_folder
from comparisons.datasets.idx import read_idx
from comparisons.datasets.mnist import download_mnist, load_mnist
from comparisons.errors import DataError

pytestmark = pytest.mark.usefixtures("no_data_of_this_machine")


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
    assert data.source.startswith(f"IDX files in {tmp_path / inside}: 6 training images")
    for x, y, part in ((data.x, data.y, "train"), (data.x_test, data.y_test, "t10k")):
        assert (x.dtype, y.dtype) == (np.uint8, np.int64)
        np.testing.assert_array_equal(x[:, 0], arrays[f"{part}-images-idx3-ubyte"])
        np.testing.assert_array_equal(np.int64(data.classes)[y],
                                      arrays[f"{part}-labels-idx1-ubyte"])


IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
FAULTS = {
    "missing": (IMAGES, lambda b: None, "no such file, plain or .gz"),
    "empty": (IMAGES, lambda b: b"", "not an IDX file of unsigned bytes (it starts with nothing)"),
    "wrong magic": (IMAGES, lambda b: b"\0\0\x0d\x03" + b[4:],
                    "not an IDX file of unsigned bytes (it starts with 00 00 0d 03)"),
    "cut in the header": (IMAGES, lambda b: b[:10], "ends within its header, after 10 bytes"),
    "cut": (IMAGES, lambda b: b[:-1], "4,719 bytes, but its header says 4,720"),
    "too long": (IMAGES, lambda b: b + b"\0", "4,721 bytes, but its header says 4,720"),
    "cut gzip": (IMAGES, lambda b: gzip.compress(b)[:-9], "Compressed file ended"),
    "broken gzip": (IMAGES, lambda b: gzip.compress(b)[:30] + b"\xff" * 99, ""),
    "fewer labels": (LABELS, lambda b: idx(np.zeros(5)), "5 labels for 6 images"),
    "many dimensions": (IMAGES, lambda b: b[:3] + bytes([65]) + b[4:], "not an IDX file"),
    "a promise that is too large": (IMAGES, lambda b: gzip.compress(b[:4] + b"\xff" * 12 + b[16:]),
                                    "4,720 bytes, but its header says"),
    "zeros beyond the promise": (IMAGES, lambda b: gzip.compress(b + bytes(2**22)),
                                 "4,721 bytes, but its header says 4,720"),
    "labels of 2-d": (LABELS, lambda b: idx(np.zeros((6, 1))),
                      "expected labels of (N,); got (6, 1)"),
    "colour": (IMAGES, lambda b: idx(np.zeros((6, 8, 8, 3))),
               "expected images of (N, height, width); got (6, 8, 8, 3)"),
    "no pixels": (IMAGES, lambda b: idx(np.zeros((6, 28, 0))),
                  "expected images of (N, height, width); got (6, 28, 0)"),
    "other test images": ("t10k-images-idx3-ubyte", lambda b: idx(np.zeros((4, 32, 32))),
                          "its images have 32×32 pixels, but the training images have 28×28"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_an_mnist_file_is_named(tmp_path, fault):
    write_mnist(tmp_path)
    name, damage, words = FAULTS[fault]
    content = damage((tmp_path / name).read_bytes())
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as info:
        load_mnist(tmp_path)
    assert message(info).startswith(f"{tmp_path / name}: {words}")


def test_no_images_at_all_is_a_fault(tmp_path):
    write_mnist(tmp_path, n=(0, 4))
    with pytest.raises(DataError, match=re.escape(f"{tmp_path / IMAGES}: holds no images")):
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
    assert message(info) == f"{tmp_path / 'nowhere'}: no such file or folder"
    with pytest.raises(DataError) as info:
        load_mnist(tmp_path)
    assert message(info) == f"{tmp_path / IMAGES}: no such file, plain or .gz"


def test_where_mnist_is_looked_for(tmp_path, monkeypatch):
    assert load_mnist().name == "mnist-subset"
    write_mnist(cache_folder() / "MNIST/raw", n=(3, 2))
    assert "3 training images" in load_mnist().source
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path))
    assert "3 training images" in load_mnist().source                    # the folder holds no MNIST
    write_mnist(tmp_path / "mnist", n=(5, 2))
    assert "5 training images" in load_mnist().source
    write_mnist(tmp_path / "named", n=(7, 2))
    assert "7 training images" in load_mnist(tmp_path / "named").source
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path / "gone"))
    with pytest.raises(DataError) as info:
        load_mnist()
    assert message(info) == f"{tmp_path / 'gone'}: no such folder (named by MINIGRAD_DATA)"


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
    assert (data.x.min(), data.x.max(), data.x.dtype) == (0, 255, np.uint8)
    assert np.bincount(data.y).tolist() == [1000] * 10
    assert np.bincount(data.y_test).tolist() == [200] * 10
    assert data.source == ("the embedded subset (mnist-subset.npz): "
                           "10,000 training digits and 2,000 test digits")


def test_a_download_that_fails_is_one_line_and_no_noise(tmp_path, monkeypatch, capfd):
    from torchvision.datasets import MNIST
    with socket.create_server(("127.0.0.1", 0)) as server:      # it accepts and never answers
        monkeypatch.setattr(MNIST, "mirrors", [f"http://127.0.0.1:{server.getsockname()[1]}/"])
        with pytest.raises(DataError) as info:
            download_mnist(tmp_path / "target", timeout=0.5)
    assert message(info).startswith(f"{tmp_path / 'target'}: cannot download MNIST")
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
    assert "6 training images" in load_mnist().source
    assert capfd.readouterr() == ("", "")
    shutil.rmtree(cache_folder())
    monkeypatch.setattr(MNIST, "resources", [(path.name, "0" * 32) for path in files])
    with pytest.raises(DataError, match="cannot download MNIST"):
        download_mnist()
    assert capfd.readouterr() == ("", "")
