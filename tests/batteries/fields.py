"""A field of a checkpoint is changed, and the file used by a command.

The field of a sound file is missing, of another kind, huge, negative, NaN, deeply nested, or a list
of another length. Without its right sums, no checkpoint may be accepted. With them, the command
succeeds, or refuses the file in one line that names it.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import json
import os
import random
import re
import shutil
import struct
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save

from batteries import Part, number
from comparisons.cli import main
from minigrad import checkpoint
from minigrad.checkpoint import CheckpointError

SAMPLE = 0.01
WHOLE = 1000
DEEP = "@deep@"         # stands for a value that is nested deeper than Python's stack
VALUES = (
    None, True, False, 0, 1, -1, -2**63, 2**31, 2**63, 2**64, 10**30, 10**400, 0.5, -0.5, 1e-320,
    1e308, float("nan"), float("inf"), -float("inf"), "", "x", "x" * 10_000, "<b>&", "\0", "\ud800",
    "../..", "9" * 5000, [], {}, [[]], [{}], {"": []}, ["x"], [1], [[1.0]], {"a": 1}, DEEP)
UNMEANT = re.compile(    # a state may be wrong in ways that only the training itself finds
    r"Traceback|(?<!cannot be continued: )\b[A-Z]\w*(?:Error|Exception|Warning|Interrupt)\b:")
Place = tuple[Any, ...]
Command = tuple[list[str], str]         # what is run, and the file that a refusal names


def parts(share: float, seed: int) -> Iterator[Part]:
    n = number(share, WHOLE)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        trained(Path("sound"))
        for impl in ("minigrad", "torch"):
            path = Path(f"mnist-mlp-{impl}/last.safetensors")
            yield of_header(path, n, random.Random(f"header {impl} {seed}"))
            yield of_content(path, n, random.Random(f"content {impl} {seed}"))
            yield of_used(path, n, random.Random(f"used {impl} {seed}"))


def trained(out: Path) -> None:
    """Real files: of two seeds of both implementations, whose last epoch is still to come."""
    from running import idx_folder
    Path("data").mkdir()
    idx_folder(Path("data"))
    Image.fromarray(np.arange(784, dtype=np.uint8).reshape(28, 28)).save("picture.png")
    status, said = told(run(out, "--seeds", "2"))
    assert status == 0, said
    for impl in ("minigrad", "torch"):
        shutil.move(out / f"mnist-mlp-{impl}/previous.safetensors",
                    out / f"mnist-mlp-{impl}/last.safetensors")


def run(out: Path, *flags: str) -> list[str]:
    return ["run", "mnist-mlp", "--data", "data", "--epochs", "2", "--batch-size", "20",
            "--calibrate", "0.2", "--out", str(out), *flags]


def told(argv: list[str]) -> tuple[int, str]:
    """The exit status of a command, and what it says of errors."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()), \
            warnings.catch_warnings(), mock.patch.dict(os.environ):
        warnings.simplefilter("error")
        os.environ.pop("MINIGRAD_DEBUG", None)
        status = main(argv)
    return status, said.getvalue()


# ---- what is changed -----------------------------------------------------------------------------

def changed(rng: random.Random, whole: Any) -> tuple[str, str]:
    """JSON with one field changed, and where that is and what it became."""
    whole = copy.deepcopy(whole)
    places = list(places_in(whole))
    place = rng.choice(places) if rng.random() < 0.7 else shallow(rng, places)
    *above, last = place
    parent = whole
    for key in above:
        parent = parent[key]
    old, way = parent[last], rng.random()
    if way < 0.15:
        del parent[last]
        became = "missing"
    elif way < 0.3 and isinstance(old, list | dict):
        became = resized(rng, old)
    elif way < 0.4 and isinstance(parent, dict):
        parent[rng.choice(("more", "", "<b>", "a\nb", "9" * 30))] = parent.pop(last)
        became = "renamed"
    else:
        new = rng.choice(VALUES) if rng.random() < 0.8 else at(whole, rng.choice(places))
        parent[last] = new = copy.deepcopy(new)
        became = repr(new)[:40]
    text = json.dumps(whole).replace(f'"{DEEP}"', "[" * 3000 + "]" * 3000)
    return text, f"{'.'.join(map(str, place))[:80]} {became}"


def places_in(value: Any, above: Place = ()) -> Iterator[Place]:
    """Where the fields and items in a value are; of a long list, those of its first and last."""
    keys = (value if isinstance(value, dict) else {*range(len(value))[:3], len(value) - 1}
            if isinstance(value, list) and value else ())
    for key in keys:
        yield (*above, key)
        yield from places_in(value[key], (*above, key))


def shallow(rng: random.Random, places: list[Place]) -> Place:
    """One of few, so that the fields of the whole are not lost among those of long lists."""
    depth = rng.choice((1, 2, 3))
    return rng.choice([place for place in places if len(place) <= depth])


def at(value: Any, place: Place) -> Any:
    for key in place:
        value = value[key]
    return value


def resized(rng: random.Random, old: Any) -> str:
    """Make a list longer or shorter, or give an object one more field."""
    if isinstance(old, dict):
        old["more"] = copy.deepcopy(rng.choice(VALUES))
        return "with one field more"
    before = len(old)
    old[:] = rng.choice((old[:-1], old[1:], old + old[-1:], old * 2, old[::-1] * 3))
    return f"with {len(old)} items, not {before}"


# ---- checkpoints ---------------------------------------------------------------------------------

def read(path: Path) -> tuple[dict[str, Any], bytes]:
    """The header of a safetensors file, which is JSON, and the rest."""
    raw = path.read_bytes()
    (n,) = struct.unpack("<Q", raw[:8])
    return json.loads(raw[8:8 + n]), raw[8 + n:]


def write(path: Path, header: str | dict[str, Any], rest: bytes) -> None:
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + rest)


def of_header(path: Path, n: int, rng: random.Random) -> Part:
    """The names, dtypes, shapes and places of the tensors, and the metadata as a whole."""
    header, rest = read("sound" / path)
    return loaded(path, Part(f"{path.parts[0]}, header"), n, lambda file: (
        lambda text, what: (write(file, text, rest), what)[1])(*changed(rng, header)))


def of_content(path: Path, n: int, rng: random.Random) -> Part:
    """What the metadata say, without their right sum; or a tensor's values."""
    header, rest = read("sound" / path)
    content = json.loads(header["__metadata__"]["minigrad"])

    def damage(file: Path) -> str:
        metadata = dict(header["__metadata__"])
        if rng.random() < 0.3:
            values = bytearray(rest)
            k = rng.randrange(len(values) // 4)
            values[4 * k:4 * k + 4] = struct.pack("<f", new := rng.choice((
                float("nan"), float("inf"), -1e38, 0.1)))
            write(file, header, bytes(values))
            return f"value {k} {new}"
        metadata["minigrad"], what = changed(rng, content)
        write(file, header | {"__metadata__": metadata}, rest)
        return what
    return loaded(path, Part(f"{path.parts[0]}, content"), n, damage)


def loaded(path: Path, part: Part, n: int, damage: Callable[[Path], str]) -> Part:
    """Load damaged checkpoints: each must be refused, or mean what the sound one does."""
    sound, file = meaning("sound" / path), Path("damaged.safetensors")
    for _ in range(n):
        part.tried += 1
        what = damage(file)
        try:
            if meaning(file) != sound:
                part.faults.append(f"{what}: accepted")
        except CheckpointError as error:
            if "\n" in str(error) or not str(error).startswith(f"{file}: "):
                part.faults.append(f"{what}: {error}")
        except Exception as error:
            part.faults.append(f"{what}: {type(error).__name__}: {error}")
    return part


OTHERWISE = (
    lambda x: x[:-1] if x.ndim else x[None], lambda x: x[None], lambda x: np.append(x.ravel(), 0),
    lambda x: x.astype(np.float64), lambda x: x.astype(np.int64), lambda x: x.astype(np.bool_),
    lambda x: np.zeros(0, x.dtype), lambda x: np.full_like(x, 255),
    lambda x: np.full(x.shape, np.nan, np.float32))


def digest(name: str, x: np.ndarray[Any, Any]) -> str:
    head = f"{name} {x.dtype} {x.shape} ".encode()
    return hashlib.sha256(head + np.ascontiguousarray(x).tobytes()).hexdigest()


def meaning(path: Path) -> str:
    kept = checkpoint.load(path)
    return repr([kept.epoch, kept.step, kept.config, kept.scheduler, *(
        (name, value.dtype, value.shape, value.tobytes())
        for arrays in (kept.model, kept.random, kept.averaged or {},
                       *(kept.optimizer or {"state": {}})["state"].values())
        for name, value in sorted(arrays.items()) if isinstance(value, np.ndarray))])


def of_used(path: Path, n: int, rng: random.Random) -> Part:
    """What the metadata say, with their right sums: somebody wrote it so."""
    with safe_open("sound" / path, framework="np") as opened:
        content = json.loads(opened.metadata()["minigrad"])
        kept = {name: opened.get_tensor(name) for name in opened.keys()}    # noqa: SIM118 no dict
    impl = path.parts[0].rpartition("-")[2]
    file = Path("used") / path
    commands = [run(Path("used"), "--resume", "--impl", impl)] * 3 + [
        ["predict", str(file), "picture.png"], ["export", str(file), "network.onnx"]]

    def damage() -> str:
        tensors, what = dict(kept), ""
        if rng.random() < 0.3:
            name = rng.choice(list(kept))
            tensors[name] = rng.choice(OTHERWISE)(kept[name])
            what = f"{name} {tensors[name].dtype} {tensors[name].shape}"
            if rng.random() < 0.2:
                tensors.pop(name)
            text = json.dumps(content)
        else:
            text, what = changed(rng, content)
        for name, value in tensors.items():         # a sum that was not changed becomes right
            if name in kept and value is not kept[name]:
                text = text.replace(digest(name, kept[name]), digest(name, value))
        file.write_bytes(save(tensors, {
            "minigrad": text, "sha256": hashlib.sha256(text.encode()).hexdigest()}))
        return what
    return used(Part(f"{path.parts[0]}, right sums"), n, damage, lambda: rng.choice(commands),
                str(file.name))


# ---- use ----------------------------------------------------------------------------------------

def used(part: Part, n: int, damage: Callable[[], str], command: Callable[[], list[str]],
         name: str) -> Part:
    """Run commands on a folder with a damaged file: they succeed, or refuse it in one line."""
    right = 0
    for _ in range(n):
        shutil.rmtree("used", ignore_errors=True)
        shutil.copytree("sound", "used")
        what, argv = damage(), command()
        part.tried += 1
        try:
            status, said = told(argv)
        except BaseException as error:
            part.faults.append(f"{what}: {argv[0]}: {type(error).__name__}: {error}")
            continue
        right += status == 0
        lines = [line for line in said.splitlines() if line.startswith("comparisons: ")]
        if UNMEANT.search(said) or status not in (0, 1) or (
                status == 1 and (len(lines) != 1 or name not in lines[0])):
            part.faults.append(f"{what}: {argv[0]}: status {status}: {said[-300:]}")
    part.note = f"{right:,} of them accepted"
    return part
