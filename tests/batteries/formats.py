"""The formats of files that are read: sound samples, hostile ones, and what reads them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save

import minigrad as mg
from comparisons.datasets.diabetes_table import COLUMNS, read_diabetes
from comparisons.datasets.faces.table import is_table, list_table
from comparisons.datasets.idx import read_idx
from comparisons.datasets.pictures import read_landmarks, read_picture
from comparisons.datasets.tables import load_table
from comparisons.errors import DataError
from comparisons.predict.predictor import Predictor
from comparisons.training.results import Results
from minigrad import checkpoint, nn, optim

Read = Callable[[Path], Any]            # what a file means; raises a Fault that names the file


@dataclass(frozen=True)
class Format:
    """A format of files. check: what in it notices every change, or "" if nothing does."""

    name: str
    samples: Sequence[bytes]
    read: Read
    text: bool = False
    check: str = ""
    hostile: Sequence[bytes] = field(default=())            # each must be refused


def formats(folder: Path) -> list[Format]:
    """All of them. folder: for what is needed to make the samples."""
    return [
        Format("IDX", [idx(4), idx(3, 5, 4)], of_array(read_idx), hostile=[
            b"", b"\0\0\x08\x03", idx(2)[:-1], idx(2) + b"\0",
            bytes([0, 0, 8, 65]) + b"\0" * 260,
            bytes([0, 0, 8, 255]) + b"\0" * 1020, header(*[2**32 - 1] * 8), header(2**31, 2**31),
            header(0, *[2**32 - 1] * 7), header(2**32 - 1) + b"\0"]),
        Format("IDX, gzip", [gzip.compress(idx(4)), gzip.compress(idx(30, 28, 28))],
               of_array(read_idx), check="CRC-32", hostile=[
            gzip.compress(bytes(200_000_000), 9), gzip.compress(header(2**31, 2**31)),
            gzip.compress(header(4) + bytes(100_000_000), 9), b"\x1f\x8b", gzip.compress(b"")]),
        *(Format(f"picture, {name}", [picture(name, mode) for mode in modes], of_picture,
                 check="CRC-32" if name == "PNG" else "", hostile=HOSTILE.get(name, ()))
          for name, modes in PICTURES.items()),
        Format("table (CSV)", [table(","), table(";")], of_data(lambda p: load_table(p, "y")),
               text=True, hostile=[b"", b"\n", b"a,y", b"\xff\xfea,y\n", b"a,a\n1,2\n",
                                   b"\0" * 99]),
        Format("diabetes (CSV)", [diabetes()], of_data(lambda p: read_diabetes(p, p)), text=True),
        Format("faces (CSV)", [face_table()], of_data(read_faces), text=True),
        Format("landmarks", [b"\n".join(b"%d.5 %de0" % (i, 2 * i) for i in range(68))],
               of_array(read_landmarks), text=True, hostile=[b"", b"1 2", b"nan 1\n" * 68,
                                                             b"1e999 1\n" * 68]),
        *checkpoints(folder), *result_files(folder)]


# ---- images --------------------------------------------------------------------------------------

def header(*shape: int) -> bytes:
    return bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)


def idx(*shape: int) -> bytes:
    return header(*shape) + np.arange(np.prod(shape)).astype(np.uint8).tobytes()


PICTURES = {"PNG": ("RGB", "L", "P", "RGBA", "I;16"), "JPEG": ("RGB", "L"), "WEBP": ("RGBA",),
            "GIF": ("P",), "BMP": ("RGB",), "TIFF": ("RGB", "F", "I;16"), "PPM": ("RGB",)}


def picture(name: str, mode: str) -> bytes:
    rng = np.random.default_rng(0)
    image = (Image.fromarray(rng.random((9, 11)).astype(np.float32)) if mode == "F" else
             Image.fromarray(rng.integers(0, 65536, (9, 11), np.uint16)) if mode == "I;16" else
             Image.fromarray(rng.integers(0, 256, (9, 11, 3), np.uint8)).convert(mode))
    stream = io.BytesIO()
    image.save(stream, name)
    return stream.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return (struct.pack(">I", len(content)) + kind + content
            + struct.pack(">I", zlib.crc32(kind + content)))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    first = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"".join((b"\x89PNG\r\n\x1a\n", first, *chunks, chunk(b"IEND", b"")))


HOSTILE = {
    "PNG": [b"", png(2**31 - 1, 2**31 - 1), png(1, 2**31 - 1), png(0, 0), png(7000, 7000),
            png(60_000, 60_000, chunk(b"IDAT", zlib.compress(bytes(10**7), 9))),
            png(2, 2, chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(10**8), 9))),
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
            b"%PDF-1.4\n", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"PK\x03\x04",
            b"\xd7\xcd\xc6\x9a" + b"\0" * 100, b"\x89HDF\r\n\x1a\n" + b"\0" * 100],
    "PPM": [b"P6 99999 99999 255\n", b"P6 1 1 99999\n\0\0\0", b"P6 " + b"9" * 5000 + b" 1 255\n"]}


def of_picture(path: Path) -> Any:
    found = read_picture(path, str(path))
    return found.mode, found.size, found.tobytes()


def of_array(read: Callable[[Path], Any]) -> Read:
    def meaning(path: Path) -> bytes:
        array = read(path)
        return f"{array.dtype} {array.shape} ".encode() + array.tobytes()
    return meaning


# ---- tables --------------------------------------------------------------------------------------

def table(sign: str) -> bytes:
    rows = [f"{i}.5,{'uvw'[i % 3]},{'pq'[i % 2]}" for i in range(24)]
    return "\n".join(["a,b,y", *rows, ""]).replace(",", sign).encode()


def diabetes() -> bytes:
    rows = [",".join([*(str((7 * i + j) % 50 + 1) for j in range(8)), str(i % 2)])
            for i in range(26)]
    return "\n".join([",".join(COLUMNS), *rows, ""]).encode()


def face_table() -> bytes:
    rows = [f"{i % 7},{' '.join(str(i * k % 256) for k in range(16))},"
            f"{'Training' if i % 3 else 'PrivateTest'}" for i in range(14)]
    return "\n".join(["emotion,pixels,Usage", *rows, ""]).encode()


def read_faces(path: Path) -> Any:
    if not is_table(path):
        raise DataError(f"{path}: no table of faces")
    return list_table(path).data(8)


def of_data(read: Callable[[Path], Any]) -> Read:
    """Every record of a table is accounted for."""
    def meaning(path: Path) -> int:
        data = read(path)
        lines = [line for line in path.read_text("utf-8-sig").split("\n") if line.strip()]
        used = len(data.x) + (0 if data.x_test is None else len(data.x_test))
        assert used + len(data.left_out) >= len(lines) - 1, "records are dropped in silence"
        assert np.isfinite(data.x[~np.isnan(data.x)]).all()
        return used
    return meaning


# ---- checkpoints ---------------------------------------------------------------------------------

def checkpoints(folder: Path) -> list[Format]:
    path = folder / "sound.safetensors"
    small = nn.Linear(2, 1)
    optimizer = optim.SGD(small.parameters(), momentum=0.9)
    small(mg.ones(1, 2)).sum().backward()
    optimizer.step()
    checkpoint.save(path, model=small, optimizer=optimizer, epoch=3, config={"a": 1})
    sound = path.read_bytes()
    huge = [n.to_bytes(8, "little") + b"{}" for n in (2**63, 2**40, 10**8, 2**64 - 1)]
    return [Format("checkpoint", [sound], of_checkpoint, check="SHA-256", hostile=huge),
            Format("checkpoint, content", [content_of(path, config)
                                           for config in (MLP, ROWS)], of_content(path), text=True)]


MLP = {"task": "mnist-mlp", "dataset": "mnist", "shape": [1, 28, 28], "options": {},
       "classes": [str(k) for k in range(10)]}
ROWS = {"task": "mnist-mlp", "dataset": "mine", "shape": [3], "options": {}, "classes": ["a", "b"],
        "encoding": {"target": "y", "scale": None, "columns": [
            {"name": "a", "median": 1, "mean": 2.5, "std": 2},
            {"name": "b", "categories": ["u", "v"]}]}}


def of_checkpoint(path: Path) -> bytes:
    kept = checkpoint.load(path)
    weights = sorted((k, v.dtype, v.shape, v.tobytes()) for k, v in kept.model.items())
    return repr((kept.epoch, kept.step, kept.config, kept.scheduler, weights,
                 kept.optimizer)).encode()


def content_of(path: Path, config: dict[str, Any]) -> bytes:
    with safe_open(path, framework="np") as file:
        return json.dumps(json.loads(file.metadata()["minigrad"]) | {"config": config}).encode()


def of_content(sound: Path) -> Read:
    """A file holds the content of a checkpoint, around which the rest is made, with right sums."""
    with safe_open(sound, framework="np") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}     # noqa: SIM118 no dict

    def meaning(path: Path) -> None:
        text = path.read_bytes().decode("utf-8", "replace")
        path.write_bytes(save(tensors, {"minigrad": text, "sha256": hashlib.sha256(
            text.encode()).hexdigest()}))
        from comparisons.predict import rows
        kept = checkpoint.load(path)
        try:
            if rows.reads_rows(kept):
                rows.main(kept, [])
            else:
                Predictor.load(path)
        except checkpoint.CheckpointError as error:
            if "does not fit this model" not in str(error):     # the tensors are of a smaller one
                raise
    return meaning


# ---- results -------------------------------------------------------------------------------------

def result_files(folder: Path) -> list[Format]:
    from test_report import ENVIRONMENT, HISTORY, RUN, judged
    whole = {"schema": 1, "environment": ENVIRONMENT, "runs": [RUN, RUN | {"impl": "torch"}]}
    place = folder / "results" / "my-task-minigrad"
    place.mkdir(parents=True, exist_ok=True)
    details = {"history": HISTORY} | judged(["a", "b"], images=True)[1] | {
        "coefficients": {"names": ["x"], "learned": [1.0], "exact": [1.0], "half_width": [0.1]},
        "fit": {"truth": [1, 2], "predicted": [1.5, 2]}, "sanity": {"grad_cam": [0.1]},
        "splits": [{"accuracy": 0.5, "count": 3}, {"accuracy": 0.7, "count": 3}]}
    deep = [b"[" * 100_000, b'{"a":' * 100_000, b'{"schema": ' + b"9" * 5000 + b"}", b"", b"\xff"]

    def of_results(path: Path) -> None:
        (place.parent / "results.json").write_bytes(path.read_bytes())
        Results(place.parent)

    def of_details(path: Path) -> None:
        (place.parent / "results.json").write_text(json.dumps(whole))
        (place / "details.json").write_bytes(path.read_bytes())
        Results(place.parent).details(RUN)
    return [Format("results.json", [json.dumps(whole).encode()], of_results, text=True,
                   hostile=deep),
            Format("details.json", [json.dumps(details).encode(),
                                    json.dumps({"history": HISTORY}).encode()], of_details,
                   text=True, hostile=deep)]
