"""`report.html`: what the runs of a folder found, on one page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from comparisons.errors import Fault
from comparisons.files import write_text
from comparisons.implementations import NAMES as IMPLS, TITLES as WHO
from comparisons.report import figures, table
from comparisons.tasks.task import Headline
from comparisons.training.results import Results

CSS = Path(__file__).with_name("page.css")
CLASS = {"minigrad": "mini", "torch": "torch"}
PUBLIC = ("mnist", "mnist-subset", "faces-generated")      # anybody may see these images
ORANGE_ONLY = f"#b4b4b4,{figures.FOR}"
BOTH_COLORS = f"{figures.AGAINST},{ORANGE_ONLY}"
LIKE_RANDOM = 0.5       # a rank correlation with a random network's maps that is too much

Runs = dict[str, dict[str, Any]]        # by implementation


def write(results: Results) -> Path:
    """Make the page of the results' folder; return its path."""
    if not results.runs:
        raise Fault(f"{results.path}: holds no finished run")
    path = results.folder / "report.html"
    try:
        text = page(results)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise Fault(f"{results.path}: damaged, or of another version "
                    f"({type(error).__name__}: {error})") from error
    write_text(path, text)
    return path


def page(results: Results) -> str:
    tasks = table.by_task(results.runs)
    links = "".join(f'<a href="#{name}">{escape(next(iter(runs.values()))["title"])}</a>'
                    for name, runs in tasks.items())
    first = {next(iter(runs.values()))["dataset"]: name for name, runs in reversed(tasks.items())}
    body = "".join(section(name, runs, {i: results.details(r) for i, r in runs.items()},
                           name in first.values()) for name, runs in tasks.items())
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>minigrad beside PyTorch</title><style>
{CSS.read_text("utf-8")}</style></head><body><main>
<h1>minigrad beside PyTorch</h1>
<p class="lead">The same models from the same initial weights, on the same batches in the same
order: once in <b class="mini">minigrad</b>, once in <b class="torch">PyTorch</b>.</p>
<nav>{links}
<a href="#environment">Environment</a></nav>
{summary(results.runs)}
{body}
{environment(results)}
</main></body></html>
"""


def summary(runs: Iterable[dict[str, Any]]) -> str:
    head = "".join(f'<th class="{"n" if i in (3, 4, 6, 7) else ""}">{h}</th>'
                   for i, h in enumerate(table.HEADER))
    lines = []
    for row in table.rows(list(runs)):
        name = f'<a href="#{row[0]}">{row[0]}</a>' if row[0] else ""
        cells = [f'<td class="wide">{name}</td>', f'<td class="wide">{escape(row[1])}</td>',
                 f'<td class="wide">{escape(row[2])}</td>']
        for i, value in enumerate(row[3:], 3):
            of = table.HEADER[i].replace(" s", ", seconds")
            kind = "n" if i != 5 else "wide"
            tint = {3: " mini", 4: " torch"}.get(i, "")
            cells.append(f'<td class="{kind}{tint}" data-of="{of}">{escape(value)}</td>'
                         if value else "<td></td>")
        lines.append(f'<tr class="{"first" if row[0] else ""}">{"".join(cells)}</tr>')
    return (f'<table class="summary"><thead><tr>{head}</tr></thead>'
            f'<tbody>{"".join(lines)}</tbody></table>'
            '<p class="faint">Seconds are of training alone, compilation and evaluation apart.</p>')


def section(name: str, runs: Runs, details: Runs, sheet: bool) -> str:
    """A task's figures and pictures; sheet: with its dataset's contact sheet."""
    some = next(iter(runs.values()))
    known = next(iter(details.values()))
    shown = []                          # figures, each with its title
    for key, title, log in (("loss", "Training loss", True),
                            ("test_accuracy", "Test accuracy", False),
                            ("coefficient_error", "Distance from the exact coefficients", True)):
        if key in known["history"][0]:
            shown.append((title, figures.learning_curve(details, key, f"{name}: {title}",
                                                        log=log)))
    if "coefficients" in known:
        shown.append(("Coefficients", figures.coefficients(details, f"{name}: coefficients")))
    if "calibration" in known:
        shown.append(("Calibration on held-out rows, tenth by tenth",
                      figures.calibration(details, f"{name}: calibration")))
    if "fit" in known:
        shown.append(("Test rows", figures.predicted(details, f"{name}: predicted and true")))
    if "targets" in known:
        shown += [(f"What {WHO[impl]} took for what",
                   figures.confusion(d["targets"], d["guesses"], d["classes"],
                                     f"{name}: confusion matrix of {WHO[impl]}"))
                  for impl, d in sorted(details.items())]
    if "per_class" in known:
        shown.append(("Of each class, how much was found (recall), and F1",
                      figures.per_class(details, f"{name}: recall and F1")))
    if len(known.get("splits", ())) > 1:
        shown.append(("Test accuracy of each split, and of all together",
                      figures.split_accuracies(details, f"{name}: accuracy of each split")))
    drawn = "".join(f"<figure><figcaption>{title}</figcaption>{svg}</figure>"
                    for title, svg in shown)
    source = escape(some["source"][:1].upper() + some["source"][1:])
    quick = '<p class="faint">A smoke run (--quick): its figures mean nothing.</p>'
    return (f'<section id="{name}"><h2>{escape(some["title"])}</h2><p>{source}.</p>'
            f'{quick if some["quick"] else ""}{tiles(name, runs)}{overlap(some)}'
            f'<div class="figures">{drawn}</div>'
            f'{contact_sheet(known, some["dataset"]) if sheet else ""}{samples(details)}'
            f'{maps(details)}{sanity(details)}{recipe(runs)}</section>')


def tiles(name: str, runs: Runs) -> str:
    """The task's first metric by each side, with its interval, and the references."""
    first = Headline(**next(iter(runs.values()))["headlines"][0])
    made = []
    for impl in IMPLS:
        if impl in runs:
            m = runs[impl]["metrics"]
            low, high = (m.get(f"{first.metric}_{end}") for end in ("low", "high"))
            drawn = ", over persons" if "person_overlap" in m else ""
            interval = f"95% interval {low:.1%} to {high:.1%}{drawn}" if low is not None else ""
            made.append(tile(f"{m[first.metric]:{first.format}}", WHO[impl], CLASS[impl],
                             interval))
    baselines = next(iter(runs.values()))["baselines"]
    made.append(tile(f"{baselines[first.baseline]:{first.format}}", first.reference))
    if "majority_accuracy" in baselines:
        made.append(tile(f"{baselines['majority_accuracy']:{first.format}}",
                         "always the commonest class"))
    label = first.label[:1].upper() + first.label[1:]
    return f'<h3>{escape(label)}</h3><div class="tiles">{"".join(made)}</div>'


def tile(figure: str, who: str, tint: str = "", note: str = "") -> str:
    return (f'<div class="tile"><span class="figure {tint}">{figure}</span>'
            f'<span class="who">{escape(who)}</span><span class="who faint">{note}</span></div>')


def overlap(run: dict[str, Any]) -> str:
    shares = [f"{run['metrics'][f'{kind}_overlap']:.1%} show a {kind} that training has seen"
              for kind in ("person", "clip") if f"{kind}_overlap" in run["metrics"]]
    return (f"<p>Split by {run['protocol']}. Of the test images, {' and '.join(shares)}.</p>"
            if shares else "")


def picture(png: str, alt: str) -> str:
    return f'<img alt="{alt}" src="data:image/png;base64,{png}">'


def contact_sheet(known: dict[str, Any], dataset: str) -> str:
    """A row of pictures a class."""
    if "sheet" not in known:
        return ""
    rows = []
    for row in known["sheet"]:
        name = escape(row["class"])
        images = "".join(picture(png, name) for png in row["png"])
        rows.append(f'<div class="class"><b>{name}</b> <span class="faint">{row["count"]:,}</span>'
                    f'</div><div class="strip">{images}</div>')
    rights = ("" if dataset in PUBLIC else '<p class="faint">Your own pictures are in this page '
              'and the details.json files beside it, nowhere else. Those of CK+ may not be passed '
              'on.</p>')
    return (f'<h3>The classes, and how many images of each</h3>{rights}'
            f'<div class="sheet">{"".join(rows)}</div>')


def samples(details: Runs) -> str:
    """Images that were read right and wrong, by minigrad where it ran, with the other's reading."""
    mine = "minigrad" if "minigrad" in details else "torch"
    known = details[mine]
    if "samples" not in known:
        return ""
    other = next((impl for impl in details if impl != mine), None)
    shown: dict[bool, list[str]] = {True: [], False: []}
    for sample in known["samples"]:
        at = sample["at"]
        truth, guess = known["targets"][at], known["guesses"][at]
        classes = [escape(c) for c in known["classes"]]
        lines = [f"{classes[guess]}, {known['confidence'][at]:.0%}" if guess == truth else
                 f'<span class="no">{classes[guess]}, {known["confidence"][at]:.0%}</span><br>'
                 f'is {classes[truth]}']
        if other is not None and guess != truth and same_items(known, details[other]):
            lines.append(f'<span class="faint">{WHO[other]}: '
                         f'{classes[details[other]["guesses"][at]]}</span>')
        shown[guess == truth].append(
            f'<figure>{picture(sample["png"], f"a test image of class {classes[truth]}")}'
            f'{"<br>".join(lines)}</figure>')
    titles = {True: f"Read right by {WHO[mine]}", False: f"Read wrong by {WHO[mine]}, "
              "the most confident first"}
    return "".join(f'<h3>{titles[right]}</h3><div class="samples">{"".join(images)}</div>'
                   for right, images in shown.items() if images)


def maps(details: Runs) -> str:
    """A row a class: the surest right and the surest wrong reading, each with its two maps."""
    mine = "minigrad" if "minigrad" in details else "torch"
    known = details[mine]
    if not known.get("examples"):
        return ""
    classes = [escape(c) for c in known["classes"]]
    # full colour for one place in a hundred: a single strong one would leave all others pale
    most = {kind: float(np.quantile(np.abs([e[kind] for e in known["examples"]]), 0.99)) or 1.0
            for kind in ("grad_cam", "occlusion")}
    cam = key("Grad-CAM", "0", f"{most['grad_cam']:.2g} logits or more", ORANGE_ONLY)
    drop = key("Occlusion", f"rises by {most['occlusion']:.2g}",
               f"falls by {most['occlusion']:.2g} nats or more", BOTH_COLORS)
    heads = "".join(f"<span>{head}</span>" for head in ("image", "Grad-CAM", "occlusion"))
    rows = []
    for c, name in enumerate(classes):
        cells = []
        for right in (True, False):
            example = next((e for e in known["examples"]
                            if e["target"] == c and (e["guess"] == c) == right), None)
            cells.append(example_maps(example, classes, most) if example is not None
                         else '<p class="faint">none</p>')
        rows.append(f'<div class="class"><b>{name}</b></div>{"".join(cells)}')
    return f"""<h3>What {WHO[mine]} looked at</h3>
<p>Of each class, the surest right and the surest wrong reading. The maps explain what the network
said, right or wrong. <b>Grad-CAM</b>: where its deepest maps hold what speaks for that class.
<b>Occlusion</b>: how far the log-odds of that class fall when a grey square, a quarter of the
image wide, covers the place. One scale for all:</p>
<p class="keys">{cam}{drop}</p>
<div class="maps"><div class="class"></div>
<div class="head"><b>read right</b><div class="trio faint">{heads}</div></div>
<div class="head"><b>read wrong</b><div class="trio faint">{heads}</div></div>
{"".join(rows)}</div>"""


def example_maps(example: dict[str, Any], classes: list[str], most: dict[str, float]) -> str:
    """An image and its maps side by side; only the side of Grad-CAM that the paper shows."""
    truth, guess = classes[example["target"]], classes[example["guess"]]
    cam = [[max(v, 0.0) for v in row] for row in example["grad_cam"]]
    images = (picture(example["png"], f"a test image of class {truth}")
              + picture(figures.overlay(example["png"], cam, most["grad_cam"]),
                        f"what spoke for {guess}: Grad-CAM")
              + picture(figures.overlay(example["png"], example["occlusion"], most["occlusion"]),
                        f"what spoke for {guess}: occlusion"))
    said = f"{guess}, {example['confidence']:.0%}"
    caption = said if guess == truth else f'<span class="no">{said}</span>'
    return (f'<figure><div class="trio">{images}</div><figcaption>{caption}</figcaption>'
            '</figure>')


def key(name: str, low: str, high: str, colors: str) -> str:
    """What the colours of a map mean."""
    return (f'<span class="key"><b>{name}</b> {low} <i style="background:linear-gradient(90deg,'
            f'{colors})"></i> {high}</span>')


def sanity(details: Runs) -> str:
    """Whether the maps depend on what was learned: how they rank places, against random weights."""
    rows = []
    for impl in IMPLS:
        for kind, title in (("grad_cam", "Grad-CAM"), ("occlusion", "occlusion")):
            found = details.get(impl, {}).get("sanity", {}).get(kind)
            if found is None:
                continue
            mean = sum(found) / len(found)
            verdict = ("depends on what was learned" if max(map(abs, found)) < LIKE_RANDOM else
                       '<span class="no">much the same without learning: do not read it</span>')
            rows.append(f'<tr class="first"><td class="{CLASS[impl]}">{WHO[impl]}</td>'
                        f'<td>{title}</td><td class="n">{signed(mean)}</td>'
                        f'<td class="n">{", ".join(map(signed, found))}</td>'
                        f'<td>{verdict}</td></tr>')
    if not rows:
        return ""
    return f"""<h3>Are the maps about what was learned?</h3>
<p>Rank correlation (Spearman) of the trained network’s maps with those of networks whose weights
are random, mean over test images (Adebayo et al. 2018). Maps that show only edges, or the middle,
are near 1 or −1.</p>
<table><thead><tr><th></th><th>map</th><th class="n">mean</th><th class="n">each network</th>
<th></th></tr></thead><tbody>{"".join(rows)}</tbody></table>"""


def signed(value: float) -> str:
    return f"{round(value, 2) + 0.0:+.2f}".replace("-", "−")       # no -0.00


def same_items(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return bool(a["rows"] == b["rows"] and a["targets"] == b["targets"])


def recipe(runs: Runs) -> str:
    """How it was trained: one line a side."""
    lines = []
    for impl in IMPLS:
        if impl in runs:
            r = runs[impl]
            several = f"{r['trainings']} trainings of " if r["trainings"] > 1 else ""
            lines.append(
                f"{WHO[impl]}: {several}{r['epochs']} epochs, batch {r['batch_size']}, rate "
                f"{r['lr']:g}, seed {r['seed']}, on {r['device']}; {r['train_seconds']:.1f} s of "
                f"training after {r['warm_up_seconds']:.1f} s of warm-up, "
                f"at most {r['peak_rss_mb']:,.0f} MB")
    return f'<p class="faint" style="margin-top:2rem">{"<br>".join(map(escape, lines))}</p>'


def environment(results: Results) -> str:
    e = results.content["environment"]
    lines = {
        "Processor": f"{e['cpu']}, {e['cores']} cores", "GPU": e["gpu"] or "none",
        "Platform": f"{e['platform']}, Python {e['python']}", "NumPy’s BLAS": e["blas"],
        "Threads": ", ".join(f"{k} {v}" for k, v in e["threads"].items() if v),
        "Versions": ", ".join(f"{k} {v}" for k, v in e["versions"].items()),
        "Peak memory": e["peak_rss"]}
    pairs = "".join(f"<dt>{k}</dt><dd>{escape(str(v))}</dd>" for k, v in lines.items())
    return f'<section id="environment"><h2>Environment</h2><dl>{pairs}</dl></section>'
