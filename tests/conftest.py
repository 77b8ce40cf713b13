"""How the tests run: `HYPOTHESIS_PROFILE=dev` (default), `ci` (the same examples every time) or
`deep` (2,000 examples a property); the whole suite in one process per core, of which each takes a
thread; what is asked for by file or name in this process, which starts sooner."""

import gc
import os
import signal
import subprocess
import sys
from pathlib import Path

import numba
import pytest
import torch
from hypothesis import HealthCheck, settings

common = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("dev", max_examples=15, **common)
settings.register_profile("ci", max_examples=15, derandomize=True, print_blob=True, **common)
settings.register_profile("deep", max_examples=2000, **common)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

torch.set_num_threads(1)        # the arrays are tiny: threads would cost more than they save
numba.set_num_threads(1)

# a shell that starts pytest in the background has Ctrl-C ignored, by it and by what it starts
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """How many processes `-n logical` of pyproject.toml means: None stands for one per core."""
    chosen = config.option.keyword or not all(Path(given).is_dir() for given in config.args)
    return 0 if chosen else None


def pytest_sessionstart(session: pytest.Session) -> None:
    """Kernels are compiled once, before several processes would each compile the same ones."""
    if session.config.getoption("numprocesses", 0) and not session.config.option.collectonly:
        subprocess.run([sys.executable, "-m", "minigrad", "warmup"], stdout=subprocess.DEVNULL,
                       check=True)


@pytest.fixture(scope="module", autouse=True)
def the_garbage_collector_looks_at_what_is_new():
    """It would look through all test cases and imported modules again and again, a second each
    time; what lives when a file's tests begin is left alone."""
    gc.collect()
    gc.freeze()
