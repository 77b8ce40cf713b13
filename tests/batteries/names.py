"""Names of all kinds for pictures, folders, checkpoints and what is written.

Each command must succeed, print the lines that it prints for a plain name, and leave its files.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from batteries import Part, number
from comparisons.cli import main
from minigrad import checkpoint, models

SAMPLE = 0.02
WHOLE = 400
PIECES = (os.fsdecode(b"\xe9"), os.fsdecode(b"\xff\xfe"), "\n", "\r", "\t", "\x1b[2J", "\x7f",
          "\u202e", "\u2028", " ", "'", '"', "<b>", "&amp;", "%s", "{0}", "$HOME", "`", ";", "*",
          "?", "[a]", "~", "#", "\\", "é", "e\u0301", "日本", "😀", "x" * 100, "é" * 60, ":", "-",
          ".", "=")
LONGEST = 240           # bytes, so that an ending fits in


def parts(share: float, seed: int) -> Iterator[Part]:
    rng = random.Random(f"names {seed}")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        config = {"task": "mnist-mlp", "dataset": "mnist", "shape": [1, 28, 28],
                  "classes": [str(digit) for digit in range(10)], "options": {}}
        checkpoint.save("plain.safetensors", model=models.MLP((784, 500, 10)), config=config)
        Image.fromarray(np.arange(784, dtype=np.uint8).reshape(28, 28)).save("plain.png")
        part = Part("predict, report and run")
        for _ in range(number(share, WHOLE)):
            name = name_of(rng)
            part.tried += 1
            if fault := fault_of(name, with_a_run=rng.random() < 0.05):
                part.faults.append(f"{name!r}: {fault}")
        yield part


def name_of(rng: random.Random) -> str:
    """A name of some pieces that is neither too long nor a flag."""
    name = "n"
    for piece in rng.choices(PIECES, k=rng.randrange(1, 6)):
        if len(os.fsencode(name + piece)) <= LONGEST:
            name += piece
    return name


def fault_of(name: str, with_a_run: bool) -> str:
    """What is wrong if everything has this name; empty if nothing is."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        place = Path(folder, name)
        place.mkdir()
        picture, network = place / f"{name}.png", place / f"{name}.st"
        picture.write_bytes(Path("plain.png").read_bytes())
        network.write_bytes(Path("plain.safetensors").read_bytes())
        status, out, err = told(["predict", str(network), str(picture), "--json",
                                 str(place / "json"), "--out", str(place / "drawn")])
        lines = out.split("\n")
        if (status, err) != (0, "") or len(lines) != 4 or not "".join(lines).isprintable():
            return f"predict: status {status}, {out!r}, {err!r}"
        (entry,) = json.loads((place / "json").read_bytes())["images"]
        if entry["image"] != str(picture) or not Path(entry["annotated"]).is_file():
            return f"predict: {entry}"
        status, _, err = told(["predict", str(network), str(place / f"{name}.gif")])
        if status != 1 or err.count("\n") != 1 or not err[:-1].isprintable():
            return f"predict: a missing picture: {err!r}"
        if with_a_run:
            status, out, err = told(["run", "diabetes", "--impl", "minigrad", "--quick", "--out",
                                     str(place / "run")])
            if (status, err) != (0, "") or not (place / "run" / "report.html").is_file():
                return f"run: status {status}, {err!r}"
            status, out, err = told(["report", str(place / "run")])
            if (status, err) != (0, "") or not out[:-1].isprintable():
                return f"report: status {status}, {out!r}, {err!r}"
    return ""


def told(argv: list[str]) -> tuple[int, str, str]:
    """The exit status of a command, and what it printed."""
    raw = io.BytesIO(), io.BytesIO()
    streams = [io.TextIOWrapper(each, "utf-8") for each in raw]
    with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
        status = main(argv)
    for stream in streams:
        stream.flush()
    out, err = (each.getvalue().decode() for each in raw)
    return status, out, err
