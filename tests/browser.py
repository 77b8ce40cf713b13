"""The live pages and the drawn ones, driven in Chromium as a person would use them.

    python tests/browser.py [PAGE …] [--pictures FOLDER]

Clicks, keys and drags must do what they are for; nothing may be reported in the console; and at
the width of a desk and of a phone, in light and in dark, no page may be wider than its window.
The exit status is 0 if all is well, 1 if something is wrong, and 2 if there is no Chromium to try
it with. It is no part of the tests, since Chromium is no Python package.

A page is a function in PAGES, which is given the browser and the report.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "comparisons")]

from devtools import Browser, PageError, find  # noqa: E402  # found by the lines above

from comparisons.cli import main as comparisons  # noqa: E402  # likewise
from minigrad.inspect.__main__ import main as inspect  # noqa: E402  # likewise

SIZES = {"wide": (1280, 860), "phone": (390, 844)}
SECONDS = 3                 # for which updates are counted


class Report:
    """What was tried and what was wrong.  pictures: a folder for screenshots, or None."""

    def __init__(self, browser: Browser, pictures: Path | None) -> None:
        self.browser, self.pictures = browser, pictures
        self.wrong = 0
        self.page = ""

    def check(self, what: str, right: object) -> None:
        """Say whether something is as it should be."""
        self.wrong += not right
        print(f"  {'ok   ' if right else 'WRONG'}  {what}", flush=True)

    def equal(self, what: str, expression: str, expected: Any) -> None:
        """Wait until an expression in JavaScript has a value, or say what it is instead."""
        try:
            self.browser.wait(f"JSON.stringify({expression}) === {json.dumps(_text(expected))}")
            self.check(what, True)
        except PageError:
            got = self.browser.evaluate(f"JSON.stringify({expression})")
            self.check(f"{what}: expected {_text(expected)}, got {got}", False)

    def looks(self, name: str) -> None:
        """Look at the page in each size, in light and in dark; end wide and light."""
        for dark in (True, False):
            for size, (width, height) in reversed(SIZES.items()):
                self.browser.size(width, height, dark=dark)
                self.browser.evaluate("scrollTo(0, 0)")
                picture = self.browser.screenshot()
                shown = f"{name}, {size}, {'dark' if dark else 'light'}"
                wide = self.browser.evaluate("document.documentElement.scrollWidth")
                self.check(f"{shown}: {wide} px of {width} are needed", wide <= width)
                background = self.browser.evaluate(BACKGROUND)
                self.check(f"{shown}: its background is {background:.0%} white",
                           (background < 0.5) is dark)
                if self.pictures is not None:
                    path = self.pictures / f"{self.page}-{shown.replace(', ', '-')}.png"
                    path.write_bytes(picture)


BACKGROUND = """(() => {
  const colour = getComputedStyle(document.body).backgroundColor;
  const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number);
  return a ? (r + g + b) / 765 : matchMedia("(prefers-color-scheme:dark)").matches ? 0 : 1;
})()"""


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@contextmanager
def served(*command: str) -> Iterator[str]:
    """The address that a command prints, as long as it serves there."""
    process = Popen([sys.executable, "-m", *command], cwd=ROOT, stdout=PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[0]
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


# ---- the pages -----------------------------------------------------------------------------------

def playground(browser: Browser, report: Report) -> None:
    """A perceptron that learns: trained, reshaped, and asked for a gradient."""
    with served("minigrad.inspect", "playground", "--no-browser") as url:
        print(f"  the server alone gives {rate_of_server(url):.0f} updates a second (2-8-8-1 "
              f"neurons, five steps to an update); {machine()}, load {load():.1f}")
        browser.goto(url)
        browser.wait("state && points")
        report.equal("two hidden layers of eight neurons", "state.sizes", [8, 8])
        browser.click("#step")
        report.equal("a click on Step takes a step", "state.step", 1)
        browser.key("ArrowRight")
        report.equal("so does the right arrow", "state.step", 2)

        browser.key(" ")
        browser.wait("running && state.step > 20")
        before, began = browser.evaluate("state.step"), time.monotonic()
        time.sleep(SECONDS)
        steps, seconds = browser.evaluate("state.step") - before, time.monotonic() - began
        rate = steps / 5 / seconds
        busy = load() > (os.cpu_count() or 1)           # with other work, which takes its share
        report.check(f"the space bar trains; the page draws {rate:.0f} updates a second"
                     + (", but the machine is busy" if busy else ""), rate >= 20 or busy)
        browser.click("#more")
        report.equal("a layer is added while it learns", "state.sizes", [8, 8, 8])
        browser.click(".column button")
        report.equal("a neuron is removed", "state.sizes", [7, 8, 8])
        browser.click("#fewer")
        report.equal("a layer is removed", "state.sizes", [7, 8])
        report.equal("it still learns", "running && nodes.map(n => n.length)", [2, 7, 8, 1])
        browser.key(" ")
        report.equal("the space bar pauses", "running", False)

        x, y = browser.at("#noise")
        browser.drag("#noise", (x + 40, y), (x + 60, y))
        browser.wait("state.settings.noise > 0.5")
        report.check("dragging the slider adds noise to the points", True)
        browser.key(" ")
        report.equal("the space bar also trains when a slider has just been moved", "running", True)
        browser.key(" ")
        browser.click("#sets button[value=circles]")
        report.equal("another set of points is chosen", "state.settings.data", "circles")
        browser.key("r")
        report.equal("R begins again", "state.step", 0)

        browser.point(".neuron:nth-of-type(4)")
        browser.wait("$('about').textContent.includes('The bias of')")
        report.check("the mouse on a neuron shows its bias and its map",
                     browser.evaluate("$('shown').textContent.startsWith('Layer 1')"))
        x, y = browser.at("#surface")
        half = browser.evaluate("$('surface').clientWidth / 2")
        browser.click("#mode button[value='1']")
        count = browser.evaluate("points.train.length")
        browser.click((x + half * 0.9, y - half * 0.9))
        report.equal("a click adds a point", "points.train.length", count + 1)
        report.equal("where it was made", "points.train.at(-1).map(v => +v.toFixed(1))",
                     [2.7, 2.7, 1])
        browser.click("#mode button[value=look]")
        browser.click((x + half * 0.9, y - half * 0.9))
        report.equal("a click chooses a point", "state.chosen && state.chosen.point", count)
        report.looks("chosen")
        browser.goto(browser.evaluate("document.querySelector('#chosen a').href"))
        report.check("a link leads to its gradient, step by step",
                     browser.evaluate("document.title").startswith("The gradient of the point"))


def machine() -> str:
    """The processor."""
    names = Path("/proc/cpuinfo")
    found = names.exists() and re.search(r"model name\s*:\s*(.*)", names.read_text("utf-8"))
    return f"{os.cpu_count()} cores of {found[1] if found else platform.processor()}"


def load() -> float:
    """How many processes want a core, averaged over a minute; 0 where this cannot be known."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def rate_of_server(url: str) -> float:
    """How many updates a second the playground's server computes, without a browser."""
    connection = http.client.HTTPConnection(url.split("/")[2])
    done, began = 0, time.monotonic()
    while time.monotonic() < began + SECONDS:
        connection.request("POST", "/do", b'{"do":"train","steps":5}')
        connection.getresponse().read()
        done += 1
    rate = done / (time.monotonic() - began)
    connection.request("POST", "/do", b'{"do":"reset"}')
    connection.getresponse().read()
    connection.close()
    return rate


def step_through(browser: Browser, report: Report) -> None:
    """A backward pass, from a file: by keys, clicks, search and links."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "xor.html")
        inspect(["step-through", "xor", "-o", str(page)])
        browser.goto(page.as_uri())
        report.equal("it begins with the first op", "current", 0)
        browser.key("ArrowRight")
        browser.key("ArrowRight")
        browser.key("ArrowLeft")
        report.equal("the arrow keys go from step to step", "current", 1)
        browser.key("End")
        report.equal("End goes to the last", "current === steps.length - 1", True)
        browser.click("#back")
        report.equal("the button goes back", "current === steps.length - 2", True)
        op = browser.evaluate("steps.find(([p]) => p === 'v')[1]")
        browser.click(f"svg [data-vertex='{op}']")
        report.equal("a click in the graph shows a vertex", "location.hash", f"#v{op}")
        browser.key("/")
        browser.type("tanh")
        report.equal("a search finds an op", "$('where').textContent.includes('tanh')", True)
        browser.key("Escape")
        browser.goto(f"{page.as_uri()}#f{op}")
        report.equal("a link leads to a vertex", "steps[current]", ["f", op])
        browser.goto(f"{page.as_uri()}#v{op}")
        report.looks("backward")


def drawing(browser: Browser, report: Report) -> None:
    """The graph of a network, as an SVG file and as a page: its boxes fold."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("xor.svg", "xor.html"):
            picture = Path(folder, name)
            inspect(["draw", "xor", "-o", str(picture)])
            browser.goto(picture.as_uri())
            opened = "document.querySelectorAll('.box.open').length"
            before = browser.evaluate(opened)
            browser.click(".box.open .head")
            report.equal(f"{name}: a click folds a box", f"{opened} < {before}", True)
            browser.key("Enter")
            report.equal(f"{name}: Enter unfolds it", opened, before)
        report.looks("page")


def demo(browser: Browser, report: Report) -> None:
    """A network for digits, untrained: a digit is drawn with the mouse."""
    from untrained import write

    with tempfile.TemporaryDirectory() as folder:
        path, _ = write(Path(folder), "mnist-mlp", "minigrad")
        with served("comparisons", "demo", str(path), "--port", "0") as url:
            browser.goto(url)
            browser.wait("models.length")
            x, y = browser.at("#pad")
            browser.drag((x - 60, y - 80), (x + 60, y - 80), (x - 20, y + 90))
            browser.wait("document.querySelectorAll('.found').length")
            report.equal("a digit that is drawn is found", "$('said').textContent", "1 digit found")
            report.equal("with a bar for each class",
                         "document.querySelectorAll('.bars i').length", 10)
            report.looks("digit")
            browser.click("#clear")
            report.equal("Clear clears", "document.querySelectorAll('.found').length", 0)


@contextmanager
def ended(process: Popen[str]) -> Iterator[None]:
    """End a process where the check of its page has failed."""
    try:
        yield
    except BaseException:
        process.kill()
        raise


TRAINING = """
import sys
from minigrad import optim
from minigrad.inspect import watch
from minigrad.inspect.examples.cnn import loss, net

optimizer = optim.Adam(net.parameters(), lr=3e-3)
with watch(net, optimizer, paused=True, file=sys.argv[1]):
    for _ in range(1500):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
"""


def watching(browser: Browser, report: Report) -> None:
    """A training that is paused and goes on; a layer is looked at; then the recorded page."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "training.html")
        command = [sys.executable, "-c", TRAINING, str(file)]
        with Popen(command, cwd=ROOT, stderr=PIPE, text=True) as process, ended(process):
            assert process.stderr is not None
            browser.goto(process.stderr.readline().split()[-1])
            browser.wait("state && state.paused")
            report.equal("it waits before the first step", "state.step", 0)
            browser.click("#step")
            report.equal("a click on Step takes a step", "state.step", 1)
            browser.key("ArrowRight")
            report.equal("so does the right arrow", "state.step", 2)
            report.equal("each of these is recorded", "records.map(r => r.step)", [1, 2])
            browser.key(" ")
            browser.wait("!state.paused && state.step > 40")
            browser.click("#pause")
            browser.wait("state.paused && times.at(-1)[1] === times.at(-2)[1]")
            report.check("the space bar lets it go on, and a click on Pause pauses it", True)
            browser.click(".row")
            browser.wait("document.querySelectorAll('.tiles canvas').length > 8")
            report.check("a click on a layer shows its filters", True)
            report.check("right under its row", browser.evaluate(
                "document.querySelector('.row').nextElementSibling === $('detail')"))
            report.equal("a vertex of the graph for each op", "$('drawing')"
                         ".querySelectorAll('.vertex.op').length", 10)
            report.check("which are coloured by their gradients' norms", browser.evaluate(
                "new Set([...document.querySelectorAll('.vertex.op > rect')]"
                ".map(r => r.style.fill)).size > 3"))
            report.looks("live")
            browser.click("#pause")
            browser.wait("state.ended")
            report.equal("it ends with its last step", "state.step", 1500)
            report.equal("and can be looked at after that", "Object.keys(known).length", 9)
            process.wait()
        browser.goto(file.as_uri())
        browser.wait("state")
        report.equal("the recorded page knows the same", "state.step", 1500)
        x, y = browser.at(".curve canvas")
        browser.point((x, y))
        browser.wait("cursor !== null && at().step < 1500")
        report.check("pointing at a curve goes back in time", True)
        browser.key("Home")
        report.equal("so do the keys", "at().step", 1)
        browser.key("ArrowRight")
        report.equal("step by step", "records.indexOf(at())", 1)
        browser.key("Escape")
        report.equal("and forward to the end", "cursor", None)
        notebook = Path(folder, "notebook.html")
        notebook.write_text(f'<iframe srcdoc="{escape(file.read_text("utf-8"))}"></iframe>',
                            "utf-8")
        browser.goto(notebook.as_uri())
        browser.wait("frames[0].document.querySelector('.row') !== null")
        browser.evaluate("frames[0].document.querySelector('.row').click()")
        report.equal("in a notebook, a click on a layer shows it as well",
                     "frames[0].document.querySelector('#detail').hidden", False)
        browser.goto(file.as_uri())
        browser.wait("state")
        report.looks("recorded")


def parity(browser: Browser, report: Report) -> None:
    """The errors of a network's layers, one of which is broken."""
    with tempfile.TemporaryDirectory() as folder:
        comparisons(["parity", "mnist-mlp", "--break", "layers.2", "--out", folder])
        browser.goto(Path(folder, "parity.html").as_uri())
        report.equal("the broken layer is the first that is marked",
                     "document.querySelector('.out .name').textContent.split(' ')[0]", "layers.2")
        report.looks("page")


PAGES: dict[str, Callable[[Browser, Report], None]] = {
    "playground": playground, "step-through": step_through, "draw": drawing, "demo": demo,
    "watch": watching, "parity": parity}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("pages", nargs="*", metavar="PAGE",
                        help=f"one of {', '.join(PAGES)} (default: all)")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="save screenshots there")
    arguments = parser.parse_args()
    if unknown := set(arguments.pages) - set(PAGES):
        parser.error(f"there is no page {unknown.pop()!r}")
    if (program := find()) is None:
        print("not tried: there is neither Chromium nor Chrome on the PATH", file=sys.stderr)
        return 2
    if arguments.pictures is not None:
        arguments.pictures.mkdir(parents=True, exist_ok=True)
    with Browser(program) as browser:
        report = Report(browser, arguments.pictures)
        for name in arguments.pages or PAGES:
            print(name, flush=True)
            report.page = name
            browser.size(*SIZES["wide"])
            browser.errors.clear()
            try:
                PAGES[name](browser, report)
            except PageError as error:
                report.check(str(error), False)
            report.check("; ".join(browser.errors) or "nothing is reported in the console",
                         not browser.errors)
    print(f"{report.wrong} wrong" if report.wrong else "all is well")
    return int(report.wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
