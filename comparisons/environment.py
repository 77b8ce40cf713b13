"""What the figures were measured on: the machine, its threads, the versions, the memory in use."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("numpy", "numba", "torch", "scikit-learn", "safetensors")


def describe() -> dict[str, Any]:
    """The environment block of results.json."""
    from threadpoolctl import threadpool_info

    from minigrad.kernels import load_numba
    torch = sys.modules.get("torch")    # not imported only to be described: it would take memory
    # NumPy's BLAS is the one in NumPy's own folder: SciPy brings another
    blas = [lib for lib in threadpool_info() if lib["user_api"] == "blas"]
    blas.sort(key=lambda lib: "numpy" not in str(lib["filepath"]))
    return {
        "cpu": cpu_model(), "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "platform": platform.platform(), "python": platform.python_version(),
        "blas": " ".join(str(blas[0].get(key) or "") for key in
                         ("internal_api", "version", "architecture")).strip() if blas else "none",
        "threads": {"blas": blas[0]["num_threads"] if blas else None,
                    "numba": load_numba().get_num_threads(),
                    "torch": torch.get_num_threads() if torch else None},
        "gpu": torch.cuda.get_device_name() if torch and torch.cuda.is_available() else None,
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "peak_rss": PEAK_RSS,
    }


def cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


# ---- peak memory -------------------------------------------------------------------------------

_status, _clear = Path("/proc/self/status"), Path("/proc/self/clear_refs")
PEAK_RSS = "the whole process's high-water mark, both implementations' libraries included, " + (
    "reset before each run" if os.access(_clear, os.W_OK) else "since it began")


def reset_peak_rss() -> None:
    """Forget the peak so far, where the system can (Linux)."""
    with contextlib.suppress(OSError):
        _clear.write_text("5")


def peak_rss_mb() -> float:
    """The most physical memory the process has held since the reset, in MB (10⁶ bytes)."""
    with contextlib.suppress(OSError):
        for line in _status.read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
