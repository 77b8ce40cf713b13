"""`demo`: a local web page on which to draw a digit, drop a photo or use the webcam.

    GET  /                          the page, demo.html
    GET  /models                    [{"name", "noun", "classes"}, …]
    POST /predict?model=I[&whole=1] a picture as the body → {"width", "height", "found": […]}

The server is that of minigrad's live pages: it answers this machine alone, every error is
{"error": one line}, and nothing is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from comparisons.datasets.base import visible
from comparisons.datasets.pictures import png, read_picture
from comparisons.errors import Fault
from comparisons.implementations import NAMES
from comparisons.predict.predictor import Predictor, readers
from minigrad.inspect.pages import filled
from minigrad.inspect.server import Query, Raw, Refusal, Server
from minigrad.streams import printable

BODY = 20 * 2**20                       # bytes: a photo from a phone has 3 to 12 MB
PAGE = Path(__file__).with_name("demo.html")


def serve(predictors: Sequence[Predictor], port: int) -> Server:
    """A server of the page, which does not answer before its `serve` or `start` is called.

    Raises: OSError if the port is in use.
    """
    def models(query: Query, content: None) -> list[dict[str, Any]]:
        return [{"name": p.name, "noun": p.subject.noun, "classes": p.classes,
                 "unsure": p.calibration.why_unsure(p.sure)} for p in predictors]

    def predict(query: Query, content: bytes) -> dict[str, Any]:
        number = query.get("model", "0")
        if number not in map(str, range(len(predictors))):
            raise Refusal(400, f"model: must be from 0 to {len(predictors) - 1}")
        picture = read_picture(content, "picture")
        found = predictors[int(number)](picture, query.get("whole") == "1")
        return {"width": picture.width, "height": picture.height, "found": [
            {"box": p.crop.box, "answer": p.answer, "probabilities": list(p.probabilities.values()),
             "crop": png(p.crop.pixels)} for p in found]}

    return Server({"GET /": lambda query, content: filled(PAGE), "GET /models": models,
                   "POST /predict": Raw(predict, BODY)}, port, faults={Fault: 422})


def newest(folder: Path = Path("runs")) -> list[Path]:
    """For each task that reads pictures, the newest checkpoint of minigrad, or else of PyTorch.

    Raises: DataError naming a folder of runs that cannot be read.
    """
    found = []
    runs = [path for path in visible(folder) if path.is_dir()] if folder.is_dir() else []
    inside = {name for run in runs for name in visible(run)}
    for task in readers():
        for name in NAMES:
            paths = [path for run in runs if (run / f"{task}-{name}") in inside
                     and (path := run / f"{task}-{name}" / "last.safetensors").exists()]
            if paths:
                found.append(max(paths, key=lambda path: path.stat().st_mtime))
                break
    return found


def main(paths: Sequence[Path], port: int, sure: float | None = None) -> int:
    """Serve until Ctrl-C, or until the process that started this one has ended.

    sure: as for `Predictor.load`.
    """
    paths = paths or newest()
    if not paths:
        raise Fault("demo: no checkpoint was given, and runs/ holds none; this command makes one: "
                    "python -m comparisons run mnist-cnn --impl minigrad")
    predictors = [Predictor.load(path, sure=sure) for path in paths]
    try:
        server = serve(predictors, port)
    except OSError as error:
        raise Fault(f"--port {port}: {error.strerror}") from None

    def began() -> None:
        for p in predictors:            # compile the kernels before the first request
            with suppress(Fault):       # it will be said of each picture
                p.probabilities(np.zeros((1, 1, *p.size), np.float32))
        print(f"{server.url}  shows {', '.join(map(printable, paths))}\n"
              "Press Ctrl-C to stop.", flush=True)

    server.serve(began)
    return 0
