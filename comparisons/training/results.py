"""The results folder: `results.json`, and a folder for each run.

The folder of a run is `DIR/<task>-<implementation>/`. It holds `last.safetensors` (the checkpoint
of the current or the last training), `previous.safetensors` (the one before it),
`fold-<k>.safetensors` (those of earlier trainings, if there are any), `details.json` (for the
report), and a folder `seed-<N>` of the same kind for each further seed. Each file is written
completely or not at all. While a process runs a task, `DIR/.<task>-<implementation>.lock` keeps
others from running it there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from comparisons.errors import Fault
from comparisons.files import insist_on_file, write_json
from comparisons.tasks.registry import TASKS
from comparisons.training import differences, formats
from minigrad import atomic
from minigrad.schema import Mismatch, check, loads

SCHEMA = 1


class Results:
    """The runs of one folder. A new run replaces the run of the same task and implementation."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "results.json"
        if folder.exists() and not folder.is_dir():
            raise Fault(f"{folder}: not a folder")
        self.content = self._read()

    def _read(self) -> dict[str, Any]:
        insist_on_file(self.path)
        try:
            content: dict[str, Any] = loads(self.path.read_bytes())
            check(content, {"schema": int})
            if content["schema"] != SCHEMA:
                raise Fault(f"{self.path}: has schema {content['schema']}; this program reads "
                            f"schema {SCHEMA}")
            formats.check_results(content)
        except FileNotFoundError:
            return {"schema": SCHEMA, "environment": {}, "runs": []}
        except OSError as error:
            raise Fault(f"{self.path}: {error.strerror}") from None
        except Mismatch as error:
            raise Fault(f"{self.path}: damaged: {error}; it was not changed; choose another folder "
                        "with --out") from None
        for run in content["runs"]:
            task = TASKS.get(run["task"])               # earlier versions did not record these
            run.setdefault("title", task.title if task else run["task"])
            run.setdefault("headlines", [
                asdict(h) for h in (task.headlines if task else ())
                if h.metric in run["metrics"] and h.baseline in run["baselines"]])
            run.setdefault("notes", list(task.notes) if task else [])
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

    @contextmanager
    def reserved(self, runs: Iterable[tuple[str, str]]) -> Iterator[None]:
        """Let no other process run these tasks with these implementations in the folder.

        runs: names of tasks and implementations. What has been written can be read all the time.
        Raises: Fault naming the other process, if there is one.
        """
        with ExitStack() as held:
            for task, impl in sorted({*runs}):      # in one order, so that one of two is first
                try:
                    held.enter_context(atomic.lock(self.folder / f".{task}-{impl}.lock"))
                except atomic.Busy as holder:
                    raise Fault(f"{self.run_folder(task, impl)}: {holder} is still running this; "
                                "wait until it has ended, or choose another folder with --out"
                                ) from None
            yield

    def add(self, run: dict[str, Any], details: dict[str, Any],
            environment: dict[str, Any]) -> None:
        """Add a finished run; it replaces an earlier one of the same task and implementation."""
        write_json(self.run_folder(run["task"], run["impl"]) / "details.json", details)
        with atomic.lock(self.folder / ".results.lock", wait=True):
            self.content = self._read()         # another process may have finished a run since
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
        insist_on_file(path)
        try:
            details: dict[str, Any] = loads(path.read_bytes())
            formats.check_history(details)
            formats.check_details(details)
        except OSError as error:
            raise Fault(f"{path}: {error.strerror}") from None
        except Mismatch as error:
            raise Fault(f"{path}: damaged: {error}") from None
        return details
