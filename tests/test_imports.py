"""What importing minigrad costs and needs, and that imports point one way."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ["kernels", "inplace", "hooks", "modes", "autograd", "ops", "tensor", "random", "creation",
          "functional", "nn", "optim", "data", "models"]
"""Each may import what stands before it."""


def python(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *options, "-c", code], cwd=ROOT, check=True,
                          capture_output=True, text=True)


def test_minigrad_runs_without_torch() -> None:
    python("import sys; sys.modules['torch'] = None; import minigrad as mg; "
           "x = mg.tensor([1.0, 2.0], requires_grad=True); "
           "mg.nn.Linear(2, 1)(x).sum().backward(); assert x.grad.shape == (2,)")


def test_import_is_light() -> None:
    loaded = python("import minigrad, sys; print(*sys.modules)").stdout.split()
    heavy = {"numba", "torch", "sklearn", "matplotlib", "scipy", "safetensors", "PIL", "tqdm"}
    assert heavy.isdisjoint(loaded)


def imports_of(file: Path) -> Iterator[str]:
    """The modules that a source imports when it runs (not those only for type checkers)."""
    stack: list[ast.AST] = [ast.parse(file.read_text())]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            stack.extend(node.orelse)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            stack.extend(ast.iter_child_nodes(node))


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("file", sources("minigrad"), ids=lambda f: str(f.relative_to(ROOT)))
def test_minigrad_imports_point_one_way(file: Path) -> None:
    imported = set(imports_of(file))
    foreign = {name.partition(".")[0] for name in imported}
    assert foreign.isdisjoint({"torch", "torchvision", "torch_impl", "comparisons"})
    own = file.relative_to(ROOT / "minigrad").parts[0].removesuffix(".py")
    if own not in LAYERS:               # checkpoint, train, testing … stand above all layers
        return
    above = set(LAYERS[LAYERS.index(own) + 1:])
    used = {name.split(".")[1] for name in imported if name.startswith("minigrad.")}
    assert used.isdisjoint(above), f"{file.name} must not import {used & above}"


@pytest.mark.parametrize("file", sources("minigrad/kernels"), ids=lambda f: f.name)
def test_kernels_know_nothing_above_them(file: Path) -> None:
    assert {name for name in imports_of(file) if name.startswith("minigrad")
            and not name.startswith("minigrad.kernels")} == set()


@pytest.mark.parametrize("file", sources("torch_impl/models"), ids=lambda f: f.name)
def test_the_torch_models_do_not_use_minigrad(file: Path) -> None:
    assert {name for name in imports_of(file) if name.startswith("minigrad")} == set()
