"""CONTRIBUTING's "Add an op in two edits" is true: the edits are made in a copy, and tested."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import minigrad
from minigrad import functional

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTION = re.search(r"^## Add an op in two edits\n(.*?)^## ", TEXT, re.M | re.S)[1]


@dataclass
class Recipe:
    """One op of the page: what goes into which file."""

    op: str
    op_file: str
    case: str
    case_file: str
    public: str             # the module that exports it

    @property
    def name(self) -> str:
        return re.search(r"def (\w+)", self.op)[1]

    @property
    def module(self) -> str:
        return self.op_file.removesuffix(".py").replace("/", ".")

    def add_op(self, folder: Path) -> None:
        with (folder / self.op_file).open("a", encoding="utf-8") as file:
            file.write(f"\n\n{self.op}")

    def add_case(self, folder: Path) -> None:
        put_first(folder / self.case_file, "CASES = [\n", self.case)

    def publish(self, folder: Path) -> None:
        put_first(folder / self.public, f"from {self.module} import (\n", f"    {self.name},\n")
        put_first(folder / self.public, "__all__ = [\n", f'    "{self.name}",\n')


BLOCKS = re.findall(r"`(\S+\.py)`:\n\n```python\n(.*?)```", SECTION, re.S)
(SINH, SINH_CASE), (SOFTSIGN, SOFTSIGN_CASE) = zip(BLOCKS[:2], BLOCKS[2:], strict=True)
RECIPES = [Recipe(SINH[1], SINH[0], SINH_CASE[1], SINH_CASE[0], "minigrad/__init__.py"),
           Recipe(SOFTSIGN[1], SOFTSIGN[0], SOFTSIGN_CASE[1], SOFTSIGN_CASE[0],
                  "minigrad/functional.py")]
every_recipe = pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)


def put_first(file: Path, opening: str, lines: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(opening) == 1
    file.write_text(text.replace(opening, opening + lines), encoding="utf-8")


def copy_of_the_sources(folder: Path) -> Path:
    """All but the kernels, which are a link, so that they are not compiled anew for each copy."""
    for name in ("minigrad", "tests", "docs"):
        shutil.copytree(ROOT / name, folder / name,
                        ignore=shutil.ignore_patterns("__pycache__", "kernels"))
    (folder / "minigrad/kernels").symlink_to(ROOT / "minigrad/kernels")
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def python_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(folder), "HYPOTHESIS_PROFILE": "dev"}
    return subprocess.run([sys.executable, *arguments], cwd=folder, env=environment,
                          capture_output=True, text=True, check=False)


def pytest_in(folder: Path, only: str, *files: str) -> subprocess.CompletedProcess[str]:
    return python_in(folder, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-k", only,
                     *(f"tests/{file}" for file in files))


@every_recipe
def test_two_edits_of_at_most_6_and_4_lines(recipe: Recipe) -> None:
    assert len(recipe.op.strip().splitlines()) <= 6
    assert len(recipe.case.strip().splitlines()) <= 4
    assert recipe.op_file.startswith("minigrad/ops/")
    assert Path(recipe.case_file) == Path("tests/op_cases") / Path(recipe.op_file).name
    for module in (minigrad, functional):
        assert not hasattr(module, recipe.name), "the page needs an op that is not there yet"


@dataclass
class Runs:
    """What the commands of the page say of a copy with all recipes: pytest before there are test
    cases and then, and the mutation lab."""

    before: subprocess.CompletedProcess[str]
    after: subprocess.CompletedProcess[str]
    lab: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = copy_of_the_sources(tmp_path_factory.mktemp("copy"))
    names = [recipe.name for recipe in RECIPES]
    for recipe in RECIPES:
        recipe.add_op(folder)
    before = pytest_in(folder, "every_public_op", "test_ops.py")
    for recipe in RECIPES:
        recipe.add_case(folder)
        recipe.publish(folder)
    after = pytest_in(folder, " or ".join([*names, "every_public", "unique"]), "test_ops.py",
                      "test_functional.py")
    return Runs(before, after, python_in(folder, "-m", "minigrad.testing", "mutate", *names))


@every_recipe
def test_the_edits_bring_the_op_its_tests(runs: Runs, recipe: Recipe) -> None:
    before, after, lab = runs.before, runs.after, runs.lab
    assert before.returncode == 1, before.stdout + before.stderr
    assert f"{recipe.module}.{recipe.name}" in before.stdout

    assert after.returncode == 0, after.stdout + after.stderr
    assert len(re.findall(rf"::\S*\b{recipe.name}\b\S* PASSED", after.stdout)) >= 15
    assert "skipped" not in after.stdout.lower()

    assert lab.returncode == 0, lab.stderr
    assert f"{Path(recipe.op_file).stem}.{recipe.name}" in lab.stdout


def test_a_corner_that_differs_is_explained(tmp_path: Path) -> None:
    """softsign without the corners that its case states"""
    folder, recipe = copy_of_the_sources(tmp_path), RECIPES[1]
    recipe.case = f"    activation({recipe.name!r}),\n"
    recipe.add_op(folder)
    recipe.add_case(folder)
    run = pytest_in(folder, f"{recipe.name} and corners", "test_ops.py")
    assert run.returncode == 1, run.stdout + run.stderr
    assert "Corners are the calls where a value or a gradient is a matter of choice" in run.stdout
    assert "corners=finite_special" in run.stdout


def test_the_commands_of_the_page_are_there() -> None:
    assert re.search(r"^python -m minigrad\.testing mutate sinh$", SECTION, re.M)
    assert "`python tests/test_op_table.py`" in SECTION


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", TEXT))
def test_links_lead_somewhere(link: str) -> None:
    assert link.startswith("https://") or (ROOT / link).exists()
