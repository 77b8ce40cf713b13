"""CONTRIBUTING's "Add an op in two edits" is true: both edits are made in a copy, and tested."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from minigrad.ops import elementwise

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTION = re.search(r"^## Add an op in two edits\n(.*?)^## ", TEXT, re.M | re.S)[1]
OP, CASE = re.findall(r"```python\n(.*?)```", SECTION, re.S)
OP_FILE, CASE_FILE = re.findall(r"^\*\*\d\..*`(\S+\.py)`:", SECTION, re.M)
NAME = re.search(r"def (\w+)", OP)[1]


def copy_of_the_sources(folder: Path) -> Path:
    for name in ("minigrad", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def python_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(folder), "HYPOTHESIS_PROFILE": "dev"}
    return subprocess.run([sys.executable, *arguments], cwd=folder, env=environment,
                          capture_output=True, text=True, check=False)


def pytest_in(folder: Path, only: str) -> subprocess.CompletedProcess[str]:
    return python_in(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", only,
                     "tests/test_ops.py")


def test_two_edits_of_at_most_6_and_4_lines() -> None:
    assert len(OP.strip().splitlines()) <= 6
    assert len(CASE.strip().splitlines()) <= 4
    assert OP_FILE.startswith("minigrad/ops/")
    assert Path(CASE_FILE) == Path("tests/op_cases") / Path(OP_FILE).name
    assert not hasattr(elementwise, NAME), "the page needs an op that is not there yet"


def test_the_edits_bring_the_op_its_tests(tmp_path: Path) -> None:
    folder = copy_of_the_sources(tmp_path)
    with (folder / OP_FILE).open("a", encoding="utf-8") as file:
        file.write(f"\n\n{OP}")
    before = pytest_in(folder, "every_public_op")
    assert before.returncode == 1, before.stdout + before.stderr
    assert f"minigrad.ops.elementwise.{NAME}" in before.stdout

    cases = (folder / CASE_FILE).read_text(encoding="utf-8")
    with_case = cases.replace("CASES = [\n", f"CASES = [\n{CASE}")
    assert with_case.count(CASE) == 1
    (folder / CASE_FILE).write_text(with_case, encoding="utf-8")
    after = pytest_in(folder, f"{NAME} or every_public_op")
    assert after.returncode == 0, after.stdout + after.stderr
    passed = int(re.search(r"(\d+) passed", after.stdout)[1])
    assert passed >= 15
    assert "skipped" not in after.stdout

    command = re.search(rf"^python (-m minigrad\.testing mutate {NAME})$", SECTION, re.M)[1]
    lab = python_in(folder, *command.split())
    assert lab.returncode == 0, lab.stderr
    assert f"elementwise.{NAME}" in lab.stdout


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", TEXT))
def test_links_lead_somewhere(link: str) -> None:
    assert link.startswith("https://") or (ROOT / link).exists()
