"""docs/speed.md quotes the code that runs, every step of it computes the convolution, and its
tables are whole.

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
from comparisons.speed import clock, walk
from comparisons.speed.clock import digits
from comparisons.speed.layers import NAMES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "speed.md"
PLACES = r"(<!-- {} -->\n).*?(<!-- end -->)"
KINDS = (*sorted({*NAMES.values()} - {"conv2d"}), "relu", "loss", "Adam")
Rows = list[dict[str, Any]]


# ---- the tables ----------------------------------------------------------------------------------

def tables(walked: dict[str, Any], layers: dict[str, Any]) -> dict[str, str]:
    """The page's tables by the name of their place."""
    steps = [row for row in walked["rows"] if "gflops" in row]
    memory = [row for row in walked["rows"] if "gbs" in row]
    engine = [row for row in walked["rows"] if row not in steps + memory]
    return {
        "walk": machine(walked) + table(["step", "ms", "GFLOP/s", "error"], [
            [row["title"], digits(row["median_ms"]), digits(row["gflops"]), f"{row['error']:.0e}"]
            for row in steps]),
        "memory": table(["", "ms", "GB/s"], [
            [row["title"], digits(row["median_ms"]), digits(row["gbs"])] for row in memory]),
        "layers": machine(layers) + table(
            ["layer", "input", "pass", "ms", "GB/s", "% of the copy's", "PyTorch ms"],
            [layer_row(row) for row in largest(layers["rows"])]),
        "engine": table(["", "µs"], [
            [row["title"], digits(row["median_ms"] * 1e3)] for row in engine])}


def machine(report: dict[str, Any]) -> str:
    """Which machine, and with how many threads."""
    told = report["environment"]
    versions = ", ".join(f"{name} {told['versions'][name]}" for name in ("numpy", "numba", "torch"))
    threads = report["rows"][0]["threads"]["numba"]
    limits = "".join(f"Copy {digits(limit['copy_gbs'])} GB/s, matrix product "
                     f"{digits(limit['gemm_gflops'])} GFLOP/s.\n"
                     for n, limit in report["rows"][0].get("limits", {}).items()
                     if n == str(threads))
    return f"{told['cpu']}, threads: {threads}, {versions}.\n{limits}\n"


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
    steps = (walk.loops, walk.place_by_place, walk.im2col, walk.image_by_image, walk.all_images,
             walk.in_tiles)
    assert quoted == [inspect.getsource(step) for step in steps]


@pytest.mark.parametrize("step", walk.STEPS, ids=lambda step: step.title)
def test_every_step_is_torchs_convolution(step: walk.Step) -> None:
    rng = np.random.default_rng(7)
    x = rng.standard_normal((walk.IMAGES, walk.CHANNELS, walk.SIDE, walk.SIDE), np.float32)
    w = rng.standard_normal((walk.OUTS, walk.CHANNELS, 3, 3), np.float32) / np.float32(17)
    given, weights, y = step.prepared(x, w)
    with step.threads():
        step.compute()(given, weights, y)
    outs, images = step.part
    assert y.shape == (images, outs, walk.SIDE, walk.SIDE)
    expected = torch.nn.functional.conv2d(torch.tensor(x[:images], dtype=torch.float64),
                                          torch.tensor(w[:outs], dtype=torch.float64), padding=1)
    np.testing.assert_allclose(y, expected.numpy(), atol=2e-5)


def test_the_tables_on_the_page_are_whole() -> None:
    steps = shown("walk")
    assert [title for title, *_ in steps] == [step.title for step in walk.STEPS]
    flops = 2 * walk.IMAGES * walk.OUTS * walk.CHANNELS * 9 * walk.SIDE**2
    for _, ms, gflops, error in steps:
        assert float(ms) * float(gflops) * 1e6 == pytest.approx(flops, rel=0.02)
        assert float(error) < 2e-5
    assert [row[0] for row in shown("memory")] == [row["title"] for row in fast(walk.memory)]
    assert [row[0] for row in shown("engine")] == [row["title"] for row in fast(walk.engine)]
    assert {row[0].split()[0] for row in shown("layers")} == {
        "max_pool2d", "batch_norm", "relu", "loss", "Adam"}


def fast(measure: Any) -> Rows:
    with pytest.MonkeyPatch.context() as patch:
        quick(patch)
        return list(measure())


def quick(patch: pytest.MonkeyPatch) -> None:
    for module, name, value in ((clock, "MIN_ROUNDS", 2), (clock, "SHORTEST", 0.0),
                                (walk, "SECONDS", 0.0), (walk, "CHAIN", 3),
                                (walk, "BACKWARDS", 2)):
        patch.setattr(module, name, value)


def test_the_walk_is_printed_written_and_drawn_and_fills_the_page(tmp_path: Path, monkeypatch: Any,
                                                                  capsys: Any) -> None:
    quick(monkeypatch)
    files = [tmp_path / name for name in ("walk.json", "walk.png")]
    assert main(["speed", "--walk", "--json", str(files[0]), "--plot", str(files[1])]) == 0
    report, out = json.loads(files[0].read_text()), capsys.readouterr().out
    for row in report["rows"]:
        assert row["title"] in out
        assert 0 < row["q1_ms"] <= row["median_ms"] <= row["q3_ms"]
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
