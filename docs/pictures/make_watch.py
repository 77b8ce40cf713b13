"""Make the pictures of a watched training: python docs/pictures/make_watch.py (needs Chromium)."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from make_inspect import browser, screenshot
from make_playground import COLOURS
from PIL import Image

import minigrad as mg
import minigrad.functional as F
from comparisons.datasets.mnist import load_subset
from minigrad import nn, optim
from minigrad.inspect import watch

HERE = Path(__file__).parent
STEPS, BATCH = 300, 64


def train(page: Path) -> None:
    """A small convolutional network learns the embedded digits; the page is written."""
    digits, order = load_subset(), np.random.default_rng(0)
    mg.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 24, 5),
                        nn.BatchNorm2d(24), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                        nn.Linear(24 * 16, 10))
    optimizer = optim.Adam(net.parameters(), lr=3e-3)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    with watch(net, optimizer, file=page, live=False, every=3) as training:
        for _ in range(STEPS):
            picked = order.choice(len(digits.x), BATCH, replace=False)
            optimizer.zero_grad()
            y = net(mg.tensor(digits.x[picked]))
            loss = F.cross_entropy(y, mg.tensor(digits.y[picked]))
            loss.backward()
            optimizer.step()
            scheduler.step()
            training.log(accuracy=float((y.data.argmax(1) == digits.y[picked]).mean()))


def make() -> int:
    if (program := browser()) is None:
        print("make_watch.py: needs Chromium", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "training.html")
        train(page)
        for theme in ("light", "dark"):
            picture = HERE / f"watch-{theme}.png"
            screenshot(page.as_uri(), picture, dark=theme == "dark", browser=program)
            Image.open(picture).convert("RGB").quantize(COLOURS).save(picture, optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(make())
