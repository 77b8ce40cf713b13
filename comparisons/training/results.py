"""The results folder: `results.json`, and a folder for each run.

The folder of a run is `DIR/<task>-<implementation>/`. It holds `last.safetensors` (the checkpoint
of the current or the last training), `fold-<k>.safetensors` (those of earlier trainings, if
there are any), `details.json` (for the report), and a folder `seed-<N>` of the same kind for each
further seed. Each file is written under a temporary name and
then renamed, so that it is never incomplete.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from comparisons.errors import Fault
from comparisons.files import write_json
from comparisons.tasks.registry import TASKS
from comparisons.training import differences

SCHEMA = 1


class Results:
    """The runs of one folder. A new run replaces the run of the same task and implementation."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "results.json"
        if folder.exists() and not folder.is_dir():
            raise Fault(f"{folder}: not a folder")
        self.content = self._read()

    def _read(self) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads(self.path.read_text("utf-8"))
            schema = content["schema"]
            for run in content["runs"]:
                run["task"], run["impl"], run["metrics"], run["baselines"]
                task = TASKS.get(run["task"])           # earlier versions did not record these
                run.setdefault("title", task.title if task else run["task"])
                run.setdefault("headlines", [asdict(h) for h in task.headlines] if task else [])
                run.setdefault("notes", list(task.notes) if task else [])
        except FileNotFoundError:
            return {"schema": SCHEMA, "environment": {}, "runs": []}
        except OSError as error:
            raise Fault(f"{self.path}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError):
            raise Fault(f"{self.path}: damaged; it was not changed; choose another folder with "
                        "--out") from None
        if schema != SCHEMA:
            raise Fault(f"{self.path}: has schema {schema}; this program reads schema {SCHEMA}")
        return content

    @property
    def runs(self) -> list[dict[str, Any]]:
        runs: list[dict[str, Any]] = self.content["runs"]
        return runs

    @property
    def differences(self) -> list[dict[str, Any]]:
        """What runs with several seeds say about the implementations, an entry for each metric."""
        found: list[dict[str, Any]] = self.content.get("differences", [])
        return found

    def run_folder(self, task: str, impl: str) -> Path:
        return self.folder / f"{task}-{impl}"

    def add(self, run: dict[str, Any], details: dict[str, Any],
            environment: dict[str, Any]) -> None:
        """Add a finished run; it replaces an earlier one of the same task and implementation."""
        write_json(self.run_folder(run["task"], run["impl"]) / "details.json", details)
        self.content = self._read()             # another process may have finished a run since
        kind = (run["task"], run["impl"])
        kept = [r for r in self.runs if (r["task"], r["impl"]) != kind]
        self.content |= {"environment": environment, "runs": [*kept, run]}
        found = [d for d in self.differences if d["task"] != run["task"]]
        found += differences.of_task([r for r in self.runs if r["task"] == run["task"]],
                                     self.details)
        self.content |= {"differences": found}
        write_json(self.path, self.content, indent=2)

    def seed_folder(self, run: dict[str, Any], seed: int) -> Path:
        """The folder of a run that was repeated with another seed."""
        folder = self.run_folder(run["task"], run["impl"])
        return folder if seed == run["seed"] else folder / f"seed-{seed}"

    def details(self, run: dict[str, Any], seed: int | None = None) -> dict[str, Any]:
        """The details of a run, or of its repetition with another seed."""
        path = self.seed_folder(run, run["seed"] if seed is None else seed) / "details.json"
        try:
            details: dict[str, Any] = json.loads(path.read_text("utf-8"))
            details["history"][0]["loss"]
        except OSError as error:
            raise Fault(f"{path}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, IndexError):
            raise Fault(f"{path}: damaged") from None
        return details
