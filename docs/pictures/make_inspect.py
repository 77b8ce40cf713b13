"""Make the pictures of docs/inspect.md: python docs/pictures/make_inspect.py (needs Chromium)."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import minigrad as mg
from minigrad.inspect import draw
from minigrad.inspect.__main__ import main
from minigrad.models.dexpression import DeXpression

HERE = Path(__file__).parent
SIZE = (1240, 760)


def screenshot(page: str, picture: Path, *, dark: bool, browser: str) -> None:
    """A picture of the page's upper part."""
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run([browser, "--headless=new", "--no-sandbox", "--disable-gpu",
                        "--hide-scrollbars", "--virtual-time-budget=3000",
                        f"--user-data-dir={profile}", f"--window-size={SIZE[0]},{SIZE[1]}",
                        f"--blink-settings=preferredColorScheme={int(not dark)}",
                        f"--screenshot={picture}", page], check=True, capture_output=True)


def browser() -> str | None:
    """The path of Chromium, or of Chrome."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
                None)


def make() -> int:
    draw(DeXpression(), mg.randn(1, 1, 224, 224)).save(HERE / "dexpression.svg")
    main(["draw", "xor", "-o", str(HERE / "xor.svg")])
    if (program := browser()) is None:
        print("make_inspect.py: the other pictures need Chromium", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "xor.html")
        main(["step-through", "xor", "-o", str(page)])
        for theme in ("light", "dark"):
            screenshot(f"{page.as_uri()}#v3", HERE / f"step-through-{theme}.png",
                       dark=theme == "dark", browser=program)
    return 0


if __name__ == "__main__":
    sys.exit(make())
