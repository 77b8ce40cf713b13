"""DeXpression (Burkert et al. 2015): facial expressions, seven or eight classes, split by person.

The frames of one clip (one recording) are nearly equal, and the faces of one person are similar. A
random split of the images therefore tests memory, and yields the paper's 99.6%. By default, the
persons in the test set do not occur in training. `--protocol` selects other splits. How many test
images share their person or their clip with training is measured and printed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from comparisons.datasets.base import Array, Data
from comparisons.datasets.crops import Subject, whole
from comparisons.datasets.drawn.data import generated
from comparisons.datasets.faces.detector import faces
from comparisons.datasets.faces.frames import Frames
from comparisons.datasets.faces.reader import load_faces
from comparisons.datasets.stored import taken
from comparisons.errors import Fault, NotThereError
from comparisons.implementations import Implementation
from comparisons.tasks import calibration
from comparisons.tasks.calibration import set_apart
from comparisons.tasks.classification import ACCURACY, COMMONEST
from comparisons.tasks.face_recipe import FACES, FaceRecipe
from comparisons.tasks.images import ImageTask
from comparisons.tasks.ingredients import RecipeOptions
from comparisons.tasks.kept import settings_of
from comparisons.tasks.options import at_least, choice, flag
from comparisons.tasks.protocols import PROTOCOLS, groups_of, kinds, overlaps, rows_of_splits
from comparisons.tasks.statistics import group_intervals
from comparisons.tasks.task import (
    Details,
    Headline,
    Loss,
    Metrics,
    Split,
    Trained,
    Transform,
)
from minigrad import checkpoint

EPOCHS = 16             # two minutes for both implementations; docs/dexpression.md uses 24
BATCH_SIZE = 32
LR = 2e-3               # the peak of the cycle
SIZE, GPU_SIZE = 48, 224     # px: CK+48's, and the paper's

FOLDS = ("By default there is one training, on four fifths of the data. With --folds K and "
         "--repeats R there are K × R trainings, and the figures cover all their test images.")
INTERVALS = (
    "The intervals hold the middle 95% of a bootstrap over persons: 2,000 resamples, with a fixed "
    "seed, of whole persons, because images of one person tend to be right or wrong together. If "
    "the data do not say who is shown, the interval is Wilson’s (1927), which treats images as "
    "independent.")


def which_frames(word: str) -> str:
    """A parser of `--frames`; see `Frames.parse`."""
    Frames.parse(word)
    return word


@dataclass(frozen=True)
class DexpressionOptions(RecipeOptions):
    protocol: str = choice(
        "person", PROTOCOLS,
        "how to split: random images, whole clips (recordings), whole persons, or as given with "
        "the data (default: person)")
    folds: int | None = flag(None, at_least(2), "K", "number of folds of the cross-validation "
                             "(default: none; one fifth of the data is held out once)")
    repeats: int = flag(1, at_least(1), "R", "number of repetitions, each with new splits "
                        "(default: 1)")
    size: int | None = flag(None, at_least(16, 512), "PX", "height and width of the images "
                            f"in pixels (default: {SIZE}, or {GPU_SIZE} for the paper's network on "
                            "a GPU)")
    frames: str | None = flag(None, which_frames, "WHICH", "frames of each recording to use: "
                              "last:N, peak or neutral-to-peak (default: last:3)")
    neutral: bool = flag(False, None, help="insist on an eighth class, neutral: the first frame "
                         "of each recording of CK+'s own tree and of the generated faces, and what "
                         "other data call neutral")
    variant: str = choice("compact", ("paper", "compact"), "network to train (default: compact)")
    casts: int | None = flag(None, at_least(1), "N", "number of sets of generated faces to draw, "
                             "each with persons of its own (default: 1)")
    start: str | None = flag(None, str, "CHECKPOINT", "checkpoint whose weights training starts "
                             "from, for example of a run on the generated faces", alone=True)


class DexpressionTask(ImageTask[DexpressionOptions]):
    name = "dexpression"
    title = "DeXpression, facial expressions"
    options = DexpressionOptions
    reads = "faces"
    subject = Subject("face", faces, whole)
    epochs = EPOCHS
    batch_size = BATCH_SIZE
    lr = LR
    quick_items = 64
    ingredients: FaceRecipe = FACES
    headlines = (ACCURACY,
                 Headline("balanced accuracy", "balanced_accuracy", "linear classifier",
                          "linear_balanced_accuracy", explanation="The mean of the classes’ "
                          "recalls, so that a rare class counts as much as a common one. The "
                          "recall of a class is the share of its test items that are classified "
                          "correctly. The reference is that of the same linear classifier."))
    def __init__(self) -> None:
        self.follow(self.options())

    def follow(self, options: DexpressionOptions) -> None:
        """Train according to the recipe, without what the options leave out."""
        self.ingredients = recipe = FACES.without(options.without)
        self.weight_decay, self.averaging = recipe.weight_decay, recipe.averaging
        self.cycle = recipe.cycle
        self.notes = (FOLDS, *recipe.told(), INTERVALS, COMMONEST)

    def with_options(self, options: DexpressionOptions) -> Self:
        task = copy.copy(self)
        task.follow(options)
        return task

    def settled(self, options: DexpressionOptions, on_gpu: Callable[[], bool]
                ) -> DexpressionOptions:
        if options.size is not None:
            return options
        return replace(options, size=GPU_SIZE if options.variant == "paper" and on_gpu() else SIZE)

    def load(self, options: DexpressionOptions) -> Data:
        data = self.faces(options)
        if options.start is not None:
            insist_on_fit(options.start, data, options)
        return data

    def faces(self, options: DexpressionOptions) -> Data:
        size = options.size or SIZE
        if options.casts and (options.data is not None or options.frames):
            raise Fault("--casts: applies to the generated faces only; give neither --data nor "
                        "--frames")
        if options.embedded or options.casts:
            return generated(size, casts=options.casts or 1, neutral=options.neutral)
        frames = Frames.parse(options.frames) if options.frames else None
        data = load_faces(options.data, size, frames=frames, neutral=options.neutral)
        if data is None and frames is not None:
            raise NotThereError("--frames: selects frames of real recordings, but no real faces "
                                "were found; the generated ones have three frames each")
        return data or generated(size, neutral=options.neutral)

    def splits(self, data: Data, options: DexpressionOptions) -> list[Split]:
        splits = []
        for title, train, test in rows_of_splits(data, options.protocol, options.folds,
                                                  options.repeats, options.seed):
            # the rows are sorted by person; shuffled, even a shortened split has all classes
            train, test = (np.random.default_rng(options.seed).permutation(rows)
                           for rows in (train, test))
            split = Split(taken(data.x, train), data.y[train], taken(data.x, test), data.y[test],
                          train, test, title)
            if options.calibrate is not None:
                split = set_apart(split, groups_of(data, options.protocol), options.calibrate,
                                  options.seed)
            splits.append(split)
        return [self.quickened(s) for s in splits] if options.quick else splits

    def introduction(self, data: Data, splits: Sequence[Split], options: DexpressionOptions
                     ) -> list[str]:
        lines = []
        if options.start is not None:
            before = trained_on(options.start).get("dataset")
            lines.append(f"{options.start}: was also trained on {data.name}, so it may have seen "
                         "the persons in this test set" if before == data.name else
                         f"{options.start}: was trained on {before}; this run trains on "
                         f"{data.name}")
        for split in splits:
            shares = [f"{share:.1%} share their {kind} with training"
                      for kind, share in overlaps(data, split).items()]
            lines.append(
                f"{split.title}{': ' * bool(split.title)}{len(split.y):,} training images, "
                f"{f'{len(split.held.y):,} set apart, ' if split.held else ''}"
                f"{len(split.y_test):,} test images; "
                f"{', '.join(shares) or 'it is not known whether they share persons'}")
        return lines

    def transform(self) -> Transform | None:
        return self.ingredients.transform()

    def model(self, implementation: Implementation, data: Data, options: DexpressionOptions
              ) -> Any:
        return implementation.models.DeXpression(len(data.classes), data.x.shape[-1],
                                                 options.variant, data.x.shape[1])

    def start(self, options: DexpressionOptions) -> str | None:
        return options.start

    def loss(self, implementation: Implementation, data: Data, y: Array) -> Loss:
        """Cross-entropy with smoothed labels, in which rare classes weigh more."""
        weight = implementation.tensor(self.class_weights(data, y))

        def loss(logits: Any, target: Any) -> Any:
            return implementation.functional.cross_entropy(
                logits, target, weight.to(logits.dtype), label_smoothing=self.ingredients.smoothing)
        return loss

    def class_weights(self, data: Data, y: Array) -> Array:
        """The weight of an image of each class in the loss: (classes,)."""
        count = np.bincount(y, minlength=len(data.classes))
        weights: Array = np.maximum(count, 1).astype(np.float32)**-self.ingredients.balance
        return weights

    def weigh(self, data: Data, y: Array) -> Callable[[Array], float]:
        weight = self.class_weights(data, y)
        return lambda target: float(weight[target].sum(dtype=np.float64))

    def views(self, x: Array) -> list[Array]:
        """The images and their mirror images, which show the same expressions."""
        return [x, np.ascontiguousarray(x[..., ::-1])] if self.ingredients.mirror else [x]

    def judge(self, data: Data, trained: Sequence[Trained]) -> tuple[Metrics, Details]:
        metrics, details = super().judge(data, trained)
        scores: list[dict[str, Any]] = [
            {"title": t.split.title, "count": len(t.split.y_test),
             "accuracy": float(np.mean(t.outputs.argmax(1) == t.split.y_test)),
             **{f"{kind}_overlap": share for kind, share in overlaps(data, t.split).items()}}
            for t in trained]
        if data.subjects is not None:       # by which others can form the same splits
            for score, t in zip(scores, trained, strict=True):
                score["persons"] = sorted({str(s) for s in data.subjects[t.split.test_rows]})
        for kind in kinds(data):
            metrics[f"{kind}_overlap"] = float(np.average(
                [score[f"{kind}_overlap"] for score in scores],
                weights=[score["count"] for score in scores]))
        if data.subjects is not None:
            intervals = group_intervals(np.array(details["targets"]), np.array(details["guesses"]),
                                        data.subjects[details["rows"]])
            for name, metric in (("accuracy", "test_accuracy"),
                                 ("balanced_accuracy", "balanced_accuracy")):
                metrics[f"{metric}_low"], metrics[f"{metric}_high"] = intervals[name]
        return metrics, details | {"splits": scores}

    def remarks(self, metrics: Metrics, details: Details) -> list[str]:
        """The intervals, the accuracy of each split, and the table of `class_table`."""
        by = "bootstrap over persons" if "person_overlap" in metrics else "of independent images"
        lines = [f"95% interval {metrics['test_accuracy_low']:.1%} to "
                 f"{metrics['test_accuracy_high']:.1%} ({by}), macro F1 {metrics['macro_f1']:.3f}",
                 calibration.told(metrics)]
        if len(details["splits"]) > 1:
            found = [score["accuracy"] for score in details["splits"]]
            lines += [f"{score['title']}: {score['accuracy']:.2%}" for score in details["splits"]]
            lines.append(f"the splits' mean {np.mean(found):.2%}, standard deviation "
                         f"{np.std(found, ddof=1):.2%}")
        return lines + class_table(details)


def class_table(details: Details) -> list[str]:
    """One line for each class: recall, F1, and how often it was classified as each class."""
    classes, scores = details["classes"], details["per_class"]
    first = max(map(len, classes))
    lines = [f"{'':{first}}{'recall':>8}{'F1':>7}   read as {'  '.join(classes)}"]
    for k, name in enumerate(classes):
        counts = "  ".join(f"{count or '·':>{len(other)}}" for other, count
                           in zip(classes, details["confusion"][k], strict=True))
        lines.append(f"{name:{first}}{scores['recall'][k]:>8.1%}{scores['f1'][k]:>7.3f}"
                     f"{'':11}{counts}")
    return lines


def trained_on(path: str) -> dict[str, Any]:
    """A checkpoint's record of its training, with the options beside the other entries."""
    config = settings_of(checkpoint.load(path))
    return {**config, **config.get("options", {})}


def insist_on_fit(path: str, data: Data, options: DexpressionOptions) -> None:
    """Check that a checkpoint's weights fit the network that is to start from them.

    Raises: Fault naming the first property in which they differ.
    """
    known = trained_on(path)
    for key, value in (("task", DexpressionTask.name), ("variant", options.variant),
                       ("shape", list(data.x.shape[1:])), ("classes", list(data.classes))):
        if known.get(key) != value:
            raise Fault(f"{path}: training cannot start from it: its {key} is "
                        f"{known.get(key)}, not {value}")
