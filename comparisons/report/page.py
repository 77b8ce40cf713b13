"""Writes `report.html`, one self-contained page with the results of the runs in a folder.

This module prepares the data; the templates in `templates/` define the layout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comparisons.errors import Fault
from comparisons.files import write_text
from comparisons.implementations import TITLES
from comparisons.report import seeds, table
from comparisons.report.section import Section, section
from comparisons.report.templating import TEMPLATES
from comparisons.training.results import Results


@dataclass(frozen=True)
class Page:
    """Everything that the page shows."""

    sections: list[Section]
    rows: list[table.Row]           # of the summary
    settings: list[str]             # which of the runs were computed in an unusual way
    terms: dict[str, str]           # explanations of the metrics in the summary
    repeated: list[seeds.Row]       # with several seeds
    compared: bool                  # whether any of these has both sides
    differences: list[seeds.Figure]
    made: str                       # versions and date
    commands: list[tuple[str, list[str]]]       # and the runs of each
    machine: dict[str, str]
    memory: str                     # what peak memory means


def write(results: Results) -> Path:
    """Make the page of the results' folder; return its path."""
    if not results.runs:
        raise Fault(f"{results.path}: holds no finished run")
    path = results.folder / "report.html"
    try:
        page = prepared(results)
    except Fault:
        raise
    except Exception as error:          # in drawing, values out of range lead to errors of any type
        raise Fault(f"{results.path}: damaged, or written by another version "
                    f"({type(error).__name__}: {error})") from error
    write_text(path, TEMPLATES.get_template("page.html").render(page=page, titles=TITLES))
    return path


def prepared(results: Results) -> Page:
    tasks = table.by_task(results.runs)
    # the first task of each dataset shows its contact sheet
    first = {next(iter(runs.values()))["dataset"]: name for name, runs in reversed(tasks.items())}
    return Page(
        [section(name, runs, {impl: results.details(run) for impl, run in runs.items()},
                 sheet=name in first.values()) for name, runs in tasks.items()],
        table.rows(results.runs), table.settings(results.runs), terms(results.runs),
        seeds.rows(results.differences), seeds.compared(results.differences),
        seeds.figures(results.differences), made(results),
        commands(results.runs), machine(results.content["environment"]), memory(results))


def terms(runs: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The explanation of each headline that has one."""
    return {headline["label"]: headline["explanation"] for impls in table.by_task(runs).values()
            for headline in next(iter(impls.values()))["headlines"] if headline.get("explanation")}


def made(results: Results) -> str:
    """The versions of the implementations, and when the latest run was finished."""
    versions = results.content["environment"]["versions"]
    told = [f"{title} {versions[package]}" for package, title in TITLES.items()
            if package in versions and any(run["impl"] == package for run in results.runs)]
    dates = [run["date"] for run in results.runs if "date" in run]
    if dates:
        told.append(f"{'latest run' if len(results.runs) > 1 else 'run'} finished {max(dates)}")
    return ", ".join(told)


def commands(runs: Sequence[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    """Each recorded command line with its runs."""
    found: dict[str, list[str]] = {}
    for impls in table.by_task(runs).values():
        for run in impls.values():
            if run.get("command"):
                found.setdefault(run["command"], []).append(
                    f"{run['task']} ({TITLES[run['impl']]})")
    return list(found.items())


def machine(e: dict[str, Any]) -> dict[str, str]:
    """The environment block of results.json, as names and values to show."""
    shown = {
        "Processor": f"{e['cpu']}, {e['cores']} cores", "GPU": e["gpu"] or "none",
        "Platform": f"{e['platform']}, Python {e['python']}", "NumPy’s BLAS": e["blas"],
        "Threads": ", ".join(f"{k} {v}" for k, v in e["threads"].items() if v),
        "Versions": ", ".join(f"{k} {v}" for k, v in e["versions"].items())}
    if variables := e.get("variables"):
        shown["Environment variables"] = ", ".join(f"{k}={v}" for k, v in variables.items())
    return shown


def memory(results: Results) -> str:
    """The explanation of the peak memory."""
    said: str = results.content["environment"]["peak_rss"]
    return said if all("rss_before_mb" in run for run in results.runs) else (
        "The most physical memory that the whole process held during a run, including every "
        "library loaded by then. For some runs, the memory held before was not recorded.")
