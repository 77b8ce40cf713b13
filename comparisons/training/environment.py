"""What the figures were measured on: the machine, its threads, the versions, the memory in use."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

VARIABLES = ("OPENBLAS_", "MKL_", "OMP_", "GOMP_", "KMP_BLOCKTIME", "NUMBA_NUM",
             "NUMBA_THREADING", "MINIGRAD_KERNELS")     # the environment's, that change speed
PACKAGES = ("minigrad", "numpy", "numba", "torch", "scikit-learn", "safetensors")


def describe() -> dict[str, Any]:
    """The environment block of results.json."""
    torch = sys.modules.get("torch")    # not imported only to be described: it would take memory
    blas = numpy_blas()
    return {
        "cpu": cpu_model(), "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "platform": platform.platform(), "python": platform.python_version(),
        "blas": " ".join(str(blas.get(key) or "") for key in
                         ("internal_api", "version", "architecture")).strip() or "none",
        "threads": threads(), "threading_layer": threading_layer(),
        "variables": {name: value for name, value in sorted(os.environ.items())
                      if name.startswith(VARIABLES)},
        "gpu": torch.cuda.get_device_name() if torch and torch.cuda.is_available() else None,
        "versions": {name: version(name) for name in PACKAGES},
        "peak_rss": PEAK_RSS,
    }


def version(package: str) -> str:
    """The installed version; of minigrad, which a checkout runs without being, the checkout's."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(package)
    project = Path(__file__).resolve().parents[2] / "pyproject.toml"
    if package == "minigrad" and project.is_file():
        number: str = tomllib.loads(project.read_text("utf-8"))["project"]["version"]
        return number
    return "not installed"


def numpy_blas() -> dict[str, Any]:
    """What threadpoolctl knows of NumPy's BLAS, if anything."""
    from threadpoolctl import threadpool_info
    blas: list[dict[str, Any]] = [lib for lib in threadpool_info() if lib["user_api"] == "blas"]
    # NumPy's BLAS is the one in NumPy's own folder: SciPy brings another
    return min(blas, key=lambda lib: "numpy" not in str(lib["filepath"]), default={})


def threads() -> dict[str, int | None]:
    """How many each library computes with; None where it is not loaded or does not say."""
    from minigrad.kernels import load_numba
    torch = sys.modules.get("torch")
    return {"blas": numpy_blas().get("num_threads"), "numba": load_numba().get_num_threads(),
            "torch": torch.get_num_threads() if torch else None}


def threading_layer() -> str | None:
    """Whose threads Numba's are (omp, tbb or workqueue); None before the first parallel loop."""
    from minigrad.kernels import load_numba
    with contextlib.suppress(ValueError):
        layer: str = load_numba().threading_layer()
        return layer
    return None


def cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


# ---- peak memory -------------------------------------------------------------------------------

_status, _clear = Path("/proc/self/status"), Path("/proc/self/clear_refs")
PEAK_RSS = "The most physical memory (RSS) that the whole process held " + (
    "during a run, from the warm-up until the model was judged" if os.access(_clear, os.W_OK) else
    "from its beginning to the end of a run, as this system cannot set the peak back") + (
    ", in MB of 10⁶ bytes. The runs of a command share one process, one after the other. So what "
    "it held before the run is given, too: Python, the data, every library loaded by then "
    "(PyTorch from the moment it is first needed) and what earlier runs have not given back. The "
    "difference is what the run added, with the libraries that it was the first to load; memory "
    "that was free already and is used again does not show in it.")
"""What `peak_rss_mb` and `rss_before_mb` are, for people."""


def reset_peak_rss() -> None:
    """Forget the peak so far, where the system can (Linux)."""
    with contextlib.suppress(OSError):
        _clear.write_text("5")


def rss_mb() -> float:
    """The physical memory the process holds, in MB (10⁶ bytes); its peak where only that is told.
    """
    return status_mb("VmRSS")


def peak_rss_mb() -> float:
    """The most physical memory the process has held since the reset, in MB."""
    return status_mb("VmHWM")


def status_mb(key: str) -> float:
    with contextlib.suppress(OSError):
        for line in _status.read_text().splitlines():
            if line.startswith(key):
                return int(line.split()[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
