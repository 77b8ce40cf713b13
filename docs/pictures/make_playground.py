"""Make the pictures of the playground: python docs/pictures/make_playground.py (needs Chromium)."""

from __future__ import annotations

import sys
from pathlib import Path

from make_inspect import browser, screenshot
from PIL import Image

from minigrad.inspect.playground.model import Playground
from minigrad.inspect.playground.server import serve

HERE = Path(__file__).parent
COLOURS = 96                # with more, a picture would have more than 150 kB


def make() -> int:
    if (program := browser()) is None:
        print("make_playground.py: needs Chromium", file=sys.stderr)
        return 1
    playground = Playground()
    for _ in range(320):
        playground.train(10)
    playground.choose(20)
    with serve(playground, 0).start() as server:
        for theme in ("light", "dark"):
            picture = HERE / f"playground-{theme}.png"
            screenshot(server.url, picture, dark=theme == "dark", browser=program)
            Image.open(picture).convert("RGB").quantize(COLOURS).save(picture, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(make())
