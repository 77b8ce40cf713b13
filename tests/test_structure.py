"""The house: imports point one way, the only circle is the one knot, and every file can be read."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("minigrad", "torch_impl", "comparisons")
LINES = 400

MINIGRAD = ["streams", "kernels", "inplace", "hooks", "modes", "observer", "visit", "autograd",
            "ops", "tensor", "random", "creation", "functional", "nn", "func", "optim", "data",
            "models"]
"""Each may import what stands before it; what is not named stands above them all."""

COMPARISONS = ["errors", "files", "datasets", "implementations", "tasks", "training", "report",
               "audits", "predict", "speed", "speedrun", "commands", "cli", "__main__"]
"""Each room may import what stands before it."""

KNOT = ("minigrad/autograd.py", "minigrad/tensor.py")
"""`@op` makes Tensors, and a Tensor's operators are ops. `autograd.tie` joins them when the program
runs; only for types do the engine and the ops import the Tensor."""


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported(file: Path, types: bool = False) -> Iterator[str]:
    """The modules that a source imports, anywhere in it; types: also those for types only."""
    stack: list[ast.AST] = [ast.parse(file.read_text("utf-8"))]
    while stack:
        node = stack.pop()
        if (not types and isinstance(node, ast.If)
                and "TYPE_CHECKING" in ast.unparse(node.test)):
            stack.extend(node.orelse)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name(file)}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            stack.extend(ast.iter_child_nodes(node))


def file_of(module: str) -> str | None:
    """The project's file that an imported name comes from."""
    parts = module.split(".")
    if parts[0] not in PACKAGES:
        return None
    for length in (len(parts), len(parts) - 1):
        path = ROOT.joinpath(*parts[:length])
        for found in (path.with_suffix(".py"), path / "__init__.py"):
            if length and found.is_file():
                return name(found)
    raise AssertionError(f"{module}: no such module")


@functools.cache
def arrows(types: bool = False) -> dict[str, set[str]]:
    """Which files each file imports."""
    return {name(file): {found for module in imported(file, types) if (found := file_of(module))}
            for file in sources(*PACKAGES)}


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """The sets of files that import each other, however far round (Tarjan 1972)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(vertex: str) -> None:
        number[vertex] = low[vertex] = len(number)
        stack.append(vertex)
        for other in graph[vertex]:
            if other not in number:
                visit(other)
                low[vertex] = min(low[vertex], low[other])
            elif other in stack:
                low[vertex] = min(low[vertex], number[other])
        if low[vertex] == number[vertex]:
            members = set(stack[stack.index(vertex):])
            del stack[stack.index(vertex):]
            if len(members) > 1 or vertex in graph[vertex]:
                found.append(members)

    for vertex in graph:
        if vertex not in number:
            visit(vertex)
    return found


# ---- circles and lengths -------------------------------------------------------------------------

def test_the_only_circle_is_the_one_knot():
    assert circles(arrows()) == []
    (circle,) = circles(arrows(types=True))
    assert set(KNOT) <= circle
    assert {file for file in circle if not file.startswith("minigrad/ops/")} == set(KNOT)


def test_a_circle_is_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}, "e": {"e"}}) == [
        {"a", "b", "c"}, {"e"}]
    assert circles({"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": set()}) == []


LAID_OUT = sorted(path for ending in ("html", "css")
                  for path in (ROOT / "comparisons").rglob(f"*.{ending}"))


@pytest.mark.parametrize("file", [*sources(*PACKAGES, "tests"), *LAID_OUT], ids=name)
def test_no_file_is_longer_than_can_be_read_at_once(file):
    assert len(file.read_text("utf-8").splitlines()) <= LINES


# ---- layers --------------------------------------------------------------------------------------

@pytest.mark.parametrize(("package", "layers"), [("minigrad", MINIGRAD),
                                                 ("comparisons", COMPARISONS)])
def test_imports_point_one_way(package, layers):
    wrong = []
    for file, targets in arrows().items():
        room = room_of(file, package)
        if room not in layers:              # checkpoint, train, testing … stand above all layers
            continue
        above = set(layers[layers.index(room) + 1:])
        wrong += [f"{file} imports {target}" for target in targets
                  if room_of(target, package) in above]
    assert wrong == []


def room_of(file: str, package: str) -> str | None:
    parts = file.split("/")
    return parts[1].removesuffix(".py") if parts[0] == package and len(parts) > 1 else None


def test_the_layers_of_minigrad_use_nothing_above_them():
    """What no layer is named after (checkpoint, train, testing …) stands above all layers.

    Only the models are written as users write theirs, with minigrad's public names.
    """
    wrong = [f"{file} imports {target}" for file, targets in arrows().items()
             if room_of(file, "minigrad") in MINIGRAD[:-1]
             for target in targets if room_of(target, "minigrad") not in MINIGRAD]
    assert wrong == []


def test_types_point_the_same_way_in_the_comparisons():
    when_it_runs = arrows()
    assert {file: targets for file, targets in arrows(types=True).items()
            if file.startswith("comparisons") and targets != when_it_runs[file]} == {}


def test_pytorchs_side_does_not_know_the_comparisons():
    assert not [file for file in sources("torch_impl")
                if any(module.startswith("comparisons") for module in imported(file))]


def test_every_room_of_the_comparisons_has_its_place():
    rooms = {room_of(file, "comparisons") for file in arrows()} - {None, "__init__"}
    assert rooms == set(COMPARISONS)


@pytest.mark.parametrize("file", sources("minigrad"), ids=name)
def test_minigrad_stands_alone(file):
    foreign = {module.partition(".")[0] for module in imported(file)}
    assert foreign.isdisjoint({"torch", "torchvision", "torch_impl", "comparisons"})


@pytest.mark.parametrize("file", sources("torch_impl/models"), ids=name)
def test_the_torch_models_do_not_use_minigrad(file):
    assert not any(module.startswith("minigrad") for module in imported(file))


# ---- what importing costs ------------------------------------------------------------------------

def loaded_by(code: str) -> set[str]:
    """The modules that a new process holds after some code."""
    told = subprocess.run([sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"],
                          cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return set(told.splitlines()[-1].split())


def test_minigrad_runs_without_torch():
    loaded_by("import sys; sys.modules['torch'] = None; import minigrad as mg; "
              "x = mg.tensor([1.0, 2.0], requires_grad=True); "
              "mg.nn.Linear(2, 1)(x).sum().backward(); assert x.grad.shape == (2,)")


def test_importing_minigrad_is_light():
    heavy = {"numba", "torch", "sklearn", "matplotlib", "scipy", "safetensors", "PIL", "tqdm"}
    assert heavy.isdisjoint(loaded_by("import minigrad"))


def test_the_command_line_loads_what_it_needs_and_no_more():
    """Help comes at once; usage errors of `run` before PyTorch, Numba or scikit-learn."""
    start = "from comparisons.cli import main"
    assert {"numpy", "minigrad"}.isdisjoint(loaded_by(f"{start}; main(['--help'])"))
    heavy = {"numba", "torch", "sklearn", "matplotlib"}
    assert heavy.isdisjoint(loaded_by(f"{start}; main(['run', 'all', '--folds', '1'])"))


def test_minigrads_own_run_does_not_load_pytorch(tmp_path):
    assert "torch" not in loaded_by(
        "from comparisons.cli import main; assert main(['run', 'regression', '--impl', "
        f"'minigrad', '--out', {str(tmp_path)!r}]) == 0")
