"""What the tests of the comparisons run under."""

import numba
import pytest
from threadpoolctl import threadpool_limits

pytest.register_assert_rewrite("running")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Several libraries with several threads each mostly wait for one another."""
    before = numba.get_num_threads()
    with threadpool_limits(1):
        numba.set_num_threads(1)
        yield
    numba.set_num_threads(before)
