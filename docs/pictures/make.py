"""Make all pictures anew: python docs/pictures/make.py

It needs Chromium, and a machine without other work for the speeds: about ten minutes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def run(*command: str) -> None:
    subprocess.run([sys.executable, *command], check=True)


if __name__ == "__main__":
    run(str(HERE / "make_inspect.py"))
    run(str(HERE / "make_playground.py"))
    run(str(HERE / "make_watch.py"))
    with tempfile.TemporaryDirectory() as folder:
        faces, speeds = str(Path(folder, "faces")), str(Path(folder, "speeds.json"))
        run("-m", "comparisons", "run", "dexpression", "--impl", "minigrad", "--out", faces)
        run("-m", "comparisons", "speed", "--json", speeds)
        run(str(HERE / "make_readme.py"), faces, speeds)
