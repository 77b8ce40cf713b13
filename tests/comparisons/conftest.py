"""What the tests of the comparisons run under, and the data that several of them use."""

import numba
import pytest
import torch
from threadpoolctl import threadpool_limits

from comparisons.datasets.base import unit
from comparisons.datasets.drawn.data import generated
from comparisons.datasets.mnist import load_subset

pytest.register_assert_rewrite("running", "untrained")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Several libraries with several threads each mostly wait for one another."""
    before = numba.get_num_threads(), torch.get_num_threads()
    with threadpool_limits(1):
        numba.set_num_threads(1)
        yield
    numba.set_num_threads(before[0])
    torch.set_num_threads(before[1])


@pytest.fixture
def no_data_of_this_machine(monkeypatch, tmp_path):
    """The test sees no data that happen to be on the machine."""
    monkeypatch.delenv("MINIGRAD_DATA", raising=False)
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))


@pytest.fixture(scope="session")
def faces():
    """The generated faces, 16 × 16 pixels each."""
    return generated(16)


@pytest.fixture(scope="session")
def digit_images():
    """Test digits of MNIST, (12, 28, 28) in [0, 1]."""
    return unit(load_subset().x_test[:12, 0])
