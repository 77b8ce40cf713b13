"""Maps of the parts of an image that led to a network's prediction, and a check of these maps.

There are two kinds. Grad-CAM uses the gradient; occlusion covers a part of the image and observes
how the prediction changes. Both are computed with minigrad, which can load weights trained with
PyTorch, because their names are equal. A map may look sensible and yet only show the edges in an
image. Therefore `sanity` compares the maps with those of networks with random weights, which they
must not resemble.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata

from comparisons import implementations
from comparisons.datasets.base import Array, Data
from comparisons.datasets.levels import inputs
from comparisons.datasets.pictures import png
from comparisons.tasks.options import Options
from comparisons.tasks.statistics import softmax
from comparisons.tasks.task import Task, Trained
from minigrad import Tensor, grad
from minigrad.nn import Module
from minigrad.train import predict

GRID = 12               # an occlusion map has 12 × 12 places
PART = 0.25             # side of the covering square, as a fraction of the image's
SHEET = 12              # images of each class on the contact sheet
CHECKED = 48            # test images in the sanity check of Grad-CAM
RANDOM = 3              # networks with random weights in the sanity check

Explain = Callable[[Module], Array]


def grad_cam(model: Module, layer: Module, x: Array, classes: Array) -> Array:
    """The evidence for a class in a layer: Σ_k α_k A_k, where α_k is the mean of ∂y_c/∂A_k.

    A: the layer's output (N, K, h, w); y_c: the logit of the class. The mean is over the h × w
    places. The map is in logits, and negative where a place is evidence against the class.
    Shapes: x (N, C, H, W), classes (N,) → (N, h, w).
    Source: Selvaraju et al. 2017, arXiv 1610.02391, equations 1 and 2 without its ReLU.
    """
    seen: list[Tensor] = []
    model.eval()
    with layer.register_forward_hook(lambda module, args, output: seen.append(output)):
        logits = model(Tensor(x))
    features = seen[0]
    (g,) = grad(logits[np.arange(len(x)), classes].sum(), features)
    assert g is not None
    alpha = g.numpy().mean((2, 3), keepdims=True)
    cam: Array = (alpha * features.detach().numpy()).sum(1)
    return cam


def occlusion(model: Module, x: Array, classes: Array) -> Array:
    """How much the log-odds of a class fall when a square of the image's mean covers a place.

    The square, or rectangle, is a quarter of the image wide and high. It is placed at each of
    12 × 12 positions and clipped at the border. Log-odds are ln(p / (1 - p)), in nats; a
    probability near 1 would hardly change.
    Shapes: x (N, C, H, W), classes (N,) → (N, 12, 12).
    Source: Zeiler & Fergus 2014, arXiv 1311.2901, section 4.2.
    """
    rows, columns = (covered_parts(size) for size in x.shape[2:])
    after = np.empty((len(x), GRID * GRID))
    for image, c, odds in zip(x, classes, after, strict=True):
        covered = np.repeat(image[None], GRID * GRID, 0)            # 144 × C × S × S
        for copy, (i, j) in zip(covered, np.ndindex(GRID, GRID), strict=True):
            copy[:, rows[i], columns[j]] = image.mean((1, 2), keepdims=True)
        odds[:] = log_odds(predict(model, covered), np.full(GRID * GRID, c))
    before = log_odds(predict(model, x), classes)
    return (before[:, None] - after).reshape(-1, GRID, GRID)


def covered_parts(size: int) -> list[slice]:
    """The 12 parts, each a quarter of `size` long, that occlusion covers along one axis."""
    middle, half = (np.arange(GRID) + 0.5) * size / GRID, size * PART / 2
    low = np.maximum(np.rint(middle - half), 0).astype(int)
    return [slice(a, b) for a, b in zip(low, np.rint(middle + half).astype(int), strict=True)]


def log_odds(logits: Array, classes: Array) -> Array:
    """ln(p / (1 - p)) of one class in each row: its logit minus the log-sum-exp of the others."""
    logits, rows = logits.astype(np.float64), np.arange(len(logits))
    mine = logits[rows, classes]
    logits[rows, classes] = -np.inf
    odds: Array = mine - np.logaddexp.reduce(logits, axis=1)
    return odds


def rank_correlation(a: Array, b: Array) -> Array:
    """Spearman's ρ of each map in `a` with the same map in `b`; 0 if either is constant.

    Shapes: a, b (N, h, w) → (N,).
    """
    a, b = (rankdata(maps.reshape(len(maps), -1), axis=1) for maps in (a, b))
    a, b = (ranks - ranks.mean(1, keepdims=True) for ranks in (a, b))
    scale = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    rho: Array = np.divide((a * b).sum(1), scale, out=np.zeros(len(a)), where=scale > 0)
    return rho


def sanity(explain: Explain, trained: Module, random: Iterable[Module]) -> list[float]:
    """The mean rank correlation of the trained network's maps with each random network's.

    Near 0, the maps depend on what was learned; near 1 or -1, they do not.
    Source: Adebayo et al. 2018, arXiv 1810.03292, model parameter randomization.
    """
    maps = explain(trained)
    return [float(rank_correlation(maps, explain(model)).mean()) for model in random]


# ---- what the report shows ----------------------------------------------------------------------

def pictures(task: Task[Any], data: Data, trained: Sequence[Trained], options: Options
             ) -> dict[str, Any]:
    """For details.json: a contact sheet, and maps if the network's `features` end in a pool."""
    if data.x.ndim != 4:
        return {}
    found: dict[str, Any] = {"sheet": contact_sheet(data)}
    minigrad = implementations.get("minigrad")

    def network(seed: int, weights: dict[str, Array] | None = None) -> Module:
        model: Module = minigrad.new_model(lambda impl: task.model(impl, data, options), seed,
                                           task.dtype)
        if weights is not None:
            model.load_state_dict({k: Tensor(v) for k, v in weights.items()})
        return model

    if not hasattr(network(0), "features"):
        return found
    found["examples"] = []
    for k, rows in chosen(trained, len(data.classes)):
        split, model = trained[k].split, network(0, trained[k].weights)
        probability = softmax(trained[k].outputs[rows])
        x, guesses = inputs(split.x_test[rows]), probability.argmax(1)
        cams, drops = grad_cam(model, last_map(model), x, guesses), occlusion(model, x, guesses)
        found["examples"] += [
            {"target": int(split.y_test[row]), "guess": int(guesses[i]), "png": png(x[i]),
             "confidence": round(float(probability[i].max()), 4),
             "grad_cam": cams[i].round(4).tolist(), "occlusion": drops[i].round(3).tolist()}
            for i, row in enumerate(rows)]
    first, model = trained[0].split, network(0, trained[0].weights)
    # seeds that no training used: a network resembles the one from which it started
    random = [network(options.seed + len(trained) + i) for i in range(RANDOM)]
    x, y = inputs(first.x_test[:CHECKED]), first.y_test[:CHECKED]
    few = slice(len(data.classes))
    found["sanity"] = {
        "grad_cam": sanity(lambda m: grad_cam(m, last_map(m), x, y), model, random),
        "occlusion": sanity(lambda m: occlusion(m, x[few], y[few]), model, random)}
    return found


def last_map(model: Any) -> Module:
    """The layer before the last pool, the deepest whose output still has places."""
    layer: Module = model.features[-2]
    return layer


def chosen(trained: Sequence[Trained], classes: int) -> list[tuple[int, list[int]]]:
    """For each class, the most confident correct and wrong prediction: (training, test rows)."""
    which = np.concatenate([np.full(len(t.outputs), k) for k, t in enumerate(trained)])
    row = np.concatenate([np.arange(len(t.outputs)) for t in trained])
    truth = np.concatenate([t.split.y_test for t in trained])
    probability = softmax(np.concatenate([t.outputs for t in trained]))
    right, sure = probability.argmax(1) == truth, probability.max(1)
    best = [group[sure[group].argmax()] for c in range(classes) for hit in (True, False)
            if len(group := np.flatnonzero((truth == c) & (right == hit)))]
    return [(k, [int(row[i]) for i in best if which[i] == k]) for k in np.unique(which[best])]


def contact_sheet(data: Data) -> list[dict[str, Any]]:
    """For each class, the number of its images and a dozen of them, of as many persons."""
    y = data.y if data.y_test is None else np.concatenate([data.y, data.y_test])
    sheet = []
    for c, name in enumerate(data.classes):
        rows = np.flatnonzero(data.y == c)
        if data.subjects is not None:
            rows = rows[np.unique(data.subjects[rows], return_index=True)[1]]
        picked = rows[np.linspace(0, len(rows) - 1, min(SHEET, len(rows))).astype(int)]
        sheet.append({"class": name, "count": int((y == c).sum()),
                      "png": [png(x) for x in inputs(data.x[picked])]})
    return sheet
