"""Describes the environment of a run: machine, threads, versions, and memory in use."""

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
             "NUMBA_THREADING", "MINIGRAD_KERNELS")     # environment variables that affect speed
PACKAGES = ("minigrad", "numpy", "numba", "torch", "scikit-learn", "safetensors")


def describe() -> dict[str, Any]:
    """The environment block of results.json."""
    torch = sys.modules.get("torch")    # never imported here, since that would add to the memory
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


def told(machine: dict[str, Any]) -> str:
    """The environment in words."""
    versions = ", ".join(f"{name} {machine['versions'][name]}"
                         for name in ("numpy", "numba", "torch", "jax")
                         if name in machine["versions"])
    variables = "".join(f"\n{name}={value}" for name, value in machine["variables"].items())
    return (f"{machine['cpu']}, {machine['cores']} cores; NumPy's BLAS {machine['blas']}\n"
            f"Python {machine['python']}, {versions}{variables}")


def version(package: str) -> str:
    """The installed version of a package. If minigrad is not installed, the checkout's version."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version(package)
    project = Path(__file__).resolve().parents[2] / "pyproject.toml"
    if package == "minigrad" and project.is_file():
        number: str = tomllib.loads(project.read_text("utf-8"))["project"]["version"]
        return number
    return "not installed"


def numpy_blas() -> dict[str, Any]:
    """threadpoolctl's entry for NumPy's BLAS; empty if there is none."""
    from threadpoolctl import threadpool_info
    blas: list[dict[str, Any]] = [lib for lib in threadpool_info() if lib["user_api"] == "blas"]
    # SciPy has a BLAS of its own; NumPy's is in NumPy's folder
    return min(blas, key=lambda lib: "numpy" not in str(lib["filepath"]), default={})


def threads() -> dict[str, int | None]:
    """The number of threads of each library; None if it is not loaded or does not report it."""
    from minigrad.kernels import load_numba
    torch = sys.modules.get("torch")
    return {"blas": numpy_blas().get("num_threads"), "numba": load_numba().get_num_threads(),
            "torch": torch.get_num_threads() if torch else None}


def threading_layer() -> str | None:
    """Numba's threading layer (omp, tbb or workqueue); None before the first parallel loop."""
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
    "during a run, from the warm-up to the end of the evaluation" if os.access(_clear, os.W_OK) else
    "from its start to the end of a run, because this system cannot reset the peak") + (
    ", in MB of 10⁶ bytes. The runs of a command take place one after the other in the same "
    "process. For this reason, the memory held before the run is also shown: Python, the data, "
    "every library loaded by then (PyTorch is loaded when it is first needed), and memory that "
    "earlier runs have not returned to the system. The difference is what the run added, "
    "including libraries that it was the first to load, but not memory that it reused.")
"""The meaning of `peak_rss_mb` and `rss_before_mb`, for the report."""


def reset_peak_rss() -> None:
    """Reset the peak, if the system allows it (Linux does)."""
    with contextlib.suppress(OSError):
        _clear.write_text("5")


def rss_mb() -> float:
    """The physical memory of the process in MB (10⁶ bytes); without /proc, its peak."""
    return status_mb("VmRSS")


def peak_rss_mb() -> float:
    """The peak of the physical memory of the process since the reset, in MB."""
    return status_mb("VmHWM")


def status_mb(key: str) -> float:
    with contextlib.suppress(OSError):
        for line in _status.read_text().splitlines():
            if line.startswith(key):
                return int(line.split()[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
