"""docs/speed.md quotes the code that runs, all steps of a walk compute the same, and the tables are
whole.

`python tests/comparisons/test_speed_page.py WALK.json LAYERS.json` writes the tables anew, from the
files that `python -m comparisons speed --walk --json` and `--layers --json` write.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from comparisons.cli import main
from comparisons.commands import speed as command
from comparisons.speed import clock, limits, walk
from comparisons.speed.clock import digits
from comparisons.speed.layers import NAMES
from comparisons.speed.walks import attention, convolution, layer_norm, one_item, steps

PAGE = Path(__file__).resolve().parents[2] / "docs" / "speed.md"
PLACES = r"(<!-- {} -->\n).*?(<!-- end -->)"
KINDS = (*sorted({*NAMES.values()} - {"conv2d"}), "relu", "loss", "Adam")
Rows = list[dict[str, Any]]


# ---- the tables ----------------------------------------------------------------------------------

def tables(walked: dict[str, Any], layers: dict[str, Any]) -> dict[str, str]:
    """The page's tables by the name of their place."""
    found = {"layers": machine(layers, layers["rows"]) + table(
        ["layer", "input", "pass", "ms", "GB/s", "% of the copy's", "PyTorch ms"],
        [layer_row(row) for row in largest(layers["rows"])])}
    for name, kind in walk.TABLES.items():
        rows = [row for row in walked["rows"] if row["table"] == name]
        found[name] = (machine(walked, rows) if name in walk.WALKS else "") + table(
            list(kind.columns), [kind.cells(row) for row in rows])
    return found


def machine(report: dict[str, Any], rows: Rows) -> str:
    """Which machine, with how many threads, and its limits when these rows were measured."""
    told = report["environment"]
    versions = ", ".join(f"{name} {told['versions'][name]}" for name in ("numpy", "numba", "torch"))
    threads = rows[0]["threads"]["numba"]
    limit = rows[0].get("machine") or rows[0]["limits"][str(threads)]
    return (f"{told['cpu']}, threads: {threads}, {versions}.\n"
            f"Copy {digits(limit['copy_gbs'])} GB/s, "
            f"matrix product {digits(limit['gemm_gflops'])} GFLOP/s.\n\n")


def largest(rows: Rows) -> Rows:
    """Of each kind and pass the layer that takes longest, in the two convolutional networks."""
    shown = [row for row in rows if row["task"] == "mnist-cnn" or row["variant"] == "compact"]
    found = []
    for kind in KINDS:
        for passing in ("forward", "backward", "step"):
            of_kind = [row for row in shown
                       if row["layer"].split()[0] == kind and row["pass"] == passing]
            found += sorted(of_kind, key=lambda row: row["minigrad"]["median_ms"])[-1:]
    return found


def layer_row(row: dict[str, Any]) -> list[str]:
    ours = row["minigrad"]
    limit = row["limits"][str(row["threads"]["numba"])]["copy_gbs"]
    return [row["layer"], "×".join(map(str, row["shape"])), row["pass"], digits(ours["median_ms"]),
            digits(ours["gbs"]), f"{ours['gbs'] / limit:.0%}", digits(row["torch"]["median_ms"])]


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def written(text: str, found: dict[str, str]) -> str:
    """The page with these tables in their places."""
    for name, content in found.items():
        text, count = re.subn(PLACES.format(name), rf"\g<1>\n{content}\n\g<2>", text,
                              flags=re.DOTALL)
        assert count == 1, name
    return text


def shown(name: str) -> list[list[str]]:
    """The cells of a table of the page, without its head."""
    place = re.search(PLACES.format(name), PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert place is not None
    lines = re.findall(r"^\| (.*) \|$", place[0], re.MULTILINE)
    return [line.split(" | ") for line in lines[2:]]


# ---- tests ---------------------------------------------------------------------------------------

def test_quoted_code_is_the_code_that_runs() -> None:
    quoted = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    parts = (convolution.loops, convolution.place_by_place, convolution.im2col,
             convolution.image_by_image, convolution.shifted_lines, convolution.in_tiles,
             layer_norm.by_formula, layer_norm.in_place, layer_norm.rows_forward,
             attention.by_einsum, attention.softmax, attention.by_copies, attention.by_views,
             attention.on_one_pool, one_item.in_long_lines, one_item.training_step)
    assert quoted == [inspect.getsource(part) for part in parts]


@pytest.mark.parametrize("step", convolution.STEPS, ids=lambda step: step.title)
def test_every_step_is_torchs_convolution(step: convolution.Step) -> None:
    rng = np.random.default_rng(7)
    shape = (convolution.IMAGES, convolution.CHANNELS, convolution.SIDE, convolution.SIDE)
    x = rng.standard_normal(shape, np.float32)
    w = rng.standard_normal((convolution.OUTS, shape[1], 3, 3), np.float32) / np.float32(17)
    given, weights, y = step.prepared(x, w)
    with step.threads():
        step.compute()(given, weights, y)
    outs, images = step.part
    assert y.shape == (images, outs, *shape[2:])
    expected = torch.nn.functional.conv2d(torch.tensor(x[:images], dtype=torch.float64),
                                          torch.tensor(w[:outs], dtype=torch.float64), padding=1)
    np.testing.assert_allclose(y, expected.numpy(), atol=2e-5)


def test_a_step_that_computes_something_else_is_noticed() -> None:
    x = np.arange(1, 5, dtype=np.float32)
    ways = [steps.Step("right", lambda x: (2 * x, x)), steps.Step("wrong", lambda x: (2 * x, -x))]
    with pytest.MonkeyPatch.context() as patch:
        quick(patch)
        right, wrong = steps.measured("", ways, [x], limits.Limits(1.0, 1.0), size=2e9)
    assert right["output_difference"] == 0
    assert wrong["output_difference"] == 2
    assert right["share"] == pytest.approx(2e3 / right["median_ms"])


def test_the_tables_on_the_page_are_whole() -> None:
    flops = 2 * convolution.IMAGES * convolution.OUTS * convolution.CHANNELS * 9 \
        * convolution.SIDE**2
    for _, ms, gflops, error in shown("convolution"):
        assert float(ms) * float(gflops) * 1e6 == pytest.approx(flops, rel=0.02)
        assert float(error) < 2e-5
    for name, of in (("convolution", convolution), ("layer-norm", layer_norm),
                     ("attention", attention), ("one-item", one_item)):
        assert [title for title, *_ in shown(name)] == [step.title for step in of.STEPS]
    for name, kind in walk.TABLES.items():
        assert shown(name)
        assert {len(cells) for cells in shown(name)} == {len(kind.columns)}
    assert [row[0] for row in shown("batches")] == [str(n) for n in one_item.BATCHES]
    assert [row[0] for row in shown("compile")] == [str(n) for n in one_item.WIDTHS]
    assert {row[0].split()[0] for row in shown("layers")} == {
        "max_pool2d", "batch_norm", "relu", "loss", "Adam"}


def quick(patch: pytest.MonkeyPatch) -> None:
    """Measure as little as possible."""
    for module, name, value in (
            (clock, "MIN_ROUNDS", 2), (clock, "SHORTEST", 0.0), (steps, "SECONDS", 0.0),
            (limits, "SIDES", (64,)), (limits, "COPIED", 2**16), (convolution, "CHAIN", 3),
            (convolution, "BACKWARDS", 2), (layer_norm, "SIZES", (64,)),
            (one_item, "BATCHES", (1, 2)), (one_item, "WIDTHS", (16,))):
        patch.setattr(module, name, value)


def test_the_command_knows_every_walk(capsys: Any) -> None:
    assert (*walk.WALKS,) == command.WALKS
    assert main(["speed", "--walk", "pooling"]) == 2
    assert "invalid choice: 'pooling'" in capsys.readouterr().err


@pytest.mark.parametrize("name", command.WALKS)
def test_all_steps_of_a_walk_agree(name: str, tmp_path: Path, monkeypatch: Any, capsys: Any
                                   ) -> None:
    quick(monkeypatch)
    file = tmp_path / "walk.json"
    assert main(["speed", "--walk", name, "--json", str(file)]) == 0
    rows, out = json.loads(file.read_text())["rows"], capsys.readouterr().out
    compared = [row for row in rows if row["table"] == name]
    assert [row["title"] for row in compared] == [step.title for step in walk.WALKS[name].STEPS]
    assert all(row["output_difference"] < 2e-5 for row in compared)
    assert {row["table"] for row in rows} == {table.name for table in walk.WALKS[name].TABLES}
    for row in rows:
        assert row["title"] in out
        assert 0 < row["q1_ms"] <= row["median_ms"] <= row["q3_ms"]


def test_the_walks_are_drawn_and_fill_the_page(tmp_path: Path, monkeypatch: Any) -> None:
    quick(monkeypatch)
    files = [tmp_path / name for name in ("walk.json", "walk.png")]
    assert main(["speed", "--walk", "--json", str(files[0]), "--plot", str(files[1])]) == 0
    report = json.loads(files[0].read_text())
    assert files[1].read_bytes().startswith(b"\x89PNG")
    layers = {"environment": report["environment"], "rows": [
        {"task": "mnist-cnn", "variant": None, "layer": "relu", "pass": "forward", "shape": (2, 3),
         "threads": {"numba": 1}, "limits": {"1": {"copy_gbs": 20.0, "gemm_gflops": 100.0}},
         "minigrad": {"median_ms": 2.0, "gbs": 10.0}, "torch": {"median_ms": 3.0}}]}
    found = tables(report, layers)
    text = written(PAGE.read_text(encoding="utf-8"), found)
    assert all(content in text for content in found.values())
    assert "Copy 20.0 GB/s, matrix product 100 GFLOP/s" in text
    assert "| relu | 2×3 | forward | 2.00 | 10.0 | 50% | 3.00 |" in text
    assert written(text, found) == text


if __name__ == "__main__":
    reports = [json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[1:]]
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), tables(*reports)), encoding="utf-8")
