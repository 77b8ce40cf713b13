"""The results folder: `results.json` and, a run, its checkpoint and the details for the report.

A run's folder is `DIR/<task>-<implementation>/`: `last.safetensors` (the training under way or the
last one done), `fold-<k>.safetensors` (the trainings before it, where there are several) and
`details.json`. Files are written beside their place and renamed, so that none is ever half there.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from comparisons.task import Fault

SCHEMA = 1


class Results:
    """The runs of one folder, by (task, implementation); a new run replaces only its like."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "results.json"
        if folder.exists() and not folder.is_dir():
            raise Fault(f"{folder}: not a folder")
        self.content = self._read()

    def make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass                            # it can be written to: told before any training
        except OSError as error:
            raise Fault(f"{self.folder}: {error.strerror}") from None

    def _read(self) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads(self.path.read_text("utf-8"))
            schema = content["schema"]
            for run in content["runs"]:
                run["task"], run["impl"], run["metrics"], run["baselines"]
        except FileNotFoundError:
            return {"schema": SCHEMA, "environment": {}, "runs": []}
        except OSError as error:
            raise Fault(f"{self.path}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError):
            raise Fault(f"{self.path}: damaged; it is left as it is, choose another folder with "
                        "--out") from None
        if schema != SCHEMA:
            raise Fault(f"{self.path}: has schema {schema}; this program reads {SCHEMA}")
        return content

    @property
    def runs(self) -> list[dict[str, Any]]:
        runs: list[dict[str, Any]] = self.content["runs"]
        return runs

    def run_folder(self, task: str, impl: str) -> Path:
        return self.folder / f"{task}-{impl}"

    def add(self, run: dict[str, Any], details: dict[str, Any],
            environment: dict[str, Any]) -> None:
        """Put a finished run in the place of an earlier one of its kind, or at the end."""
        write_json(self.run_folder(run["task"], run["impl"]) / "details.json", details)
        self.content = self._read()             # another process may have finished a run since
        kind = (run["task"], run["impl"])
        kept = [r for r in self.runs if (r["task"], r["impl"]) != kind]
        self.content |= {"environment": environment, "runs": [*kept, run]}
        write_json(self.path, self.content, indent=2)

    def details(self, run: dict[str, Any]) -> dict[str, Any]:
        path = self.run_folder(run["task"], run["impl"]) / "details.json"
        try:
            details: dict[str, Any] = json.loads(path.read_text("utf-8"))
            details["history"][0]["loss"]
        except OSError as error:
            raise Fault(f"{path}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, IndexError):
            raise Fault(f"{path}: damaged") from None
        return details


def new_folder(parent: Path = Path("runs")) -> Path:
    """A folder named after the time of day that is not there yet."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    folder, again = parent / stamp, 1
    while folder.exists():
        again += 1
        folder = parent / f"{stamp}-{again}"
    return folder


def write_json(path: Path, content: Any, indent: int | None = None) -> None:
    write_text(path, json.dumps(content, indent=indent, allow_nan=False, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all. Raises Fault naming it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise Fault(f"{path}: {error.strerror}") from None
