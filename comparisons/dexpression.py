"""DeXpression (Burkert et al. 2015): facial expressions, seven classes, split by person.

The frames of one clip are near copies of each other, and people keep their faces. A split over
images therefore tests memory: it gives the paper's 99.6%. The default holds whole persons out;
`--protocol` chooses, and the overlap is measured and printed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from comparisons.classification import ImageTask
from comparisons.datasets import (
    Data,
    Frames,
    clip_split,
    generated,
    load_faces,
    overlap,
    person_split,
    random_split,
)
from comparisons.implementations import Implementation
from comparisons.statistics import group_intervals
from comparisons.task import (
    Array,
    Fault,
    Headline,
    Loss,
    Options,
    Recipe,
    Split,
    Trained,
    Transform,
    shortened,
)
from minigrad import checkpoint
from minigrad.data import transforms

EPOCHS = 16             # what two minutes allow both sides; docs/dexpression.md takes 24
BATCH_SIZE = 32
LR = 2e-3               # the peak of the cycle
WEIGHT_DECAY = 0.01
SMOOTHING = 0.1         # of the labels: an expression is rarely pure
AVERAGING = 0.99        # decay of the weights' moving average: it looks back about three epochs
BALANCE = 0.5           # an image weighs as (size of its class)^-BALANCE
ROTATE, SCALE, SHIFT = 12, 0.12, 0.08   # degrees, and parts of the image: a face is never centred
LIGHT, NOISE = 0.2, 0.015               # of brightness and contrast; standard deviation
COVERED = (0.02, 0.16)  # part of the image that is covered, in every second one
HOLD_OUT = 5            # without --folds, one part in five is the test set


class DexpressionTask(ImageTask):
    name = "dexpression"
    title = "DeXpression, facial expressions"
    epochs = EPOCHS
    batch_size = BATCH_SIZE
    lr = LR
    quick_items = 64
    averaging = AVERAGING
    headlines = (Headline("accuracy", "test_accuracy", "linear classifier", "linear_accuracy"),
                 Headline("balanced accuracy", "balanced_accuracy", "linear classifier",
                          "linear_balanced_accuracy"))

    def load(self, options: Options) -> Data:
        data = self.faces(options)
        if options.start is not None:
            insist_on_fit(options.start, data, options)
        return data

    def faces(self, options: Options) -> Data:
        if options.casts and (options.data is not None or options.frames):
            raise Fault("--casts: is for the generated faces, so without --data and --frames")
        if options.embedded or options.casts:
            return generated(options.size, casts=options.casts or 1)
        return load_faces(options.data, options.size,
                          frames=Frames.parse(options.frames) if options.frames else None)

    def splits(self, data: Data, options: Options) -> list[Split]:
        splits = []
        for title, train, test in rows_of_splits(data, options):
            # the rows come person by person: mixed, so that a shortened split has all classes
            train, test = (np.random.default_rng(options.seed).permutation(rows)
                           for rows in (train, test))
            splits.append(Split(data.x[train], data.y[train], data.x[test], data.y[test],
                                train, test, title))
        return [shortened(s, self.quick_items) for s in splits] if options.quick else splits

    def introduction(self, data: Data, splits: Sequence[Split], options: Options) -> list[str]:
        lines = []
        if options.start is not None and trained_on(options.start).get("dataset") == data.name:
            lines.append(f"{options.start}: was trained on {data.name} too, and may have seen "
                         "those who are tested on here")
        for split in splits:
            shares = [f"{share:.1%} share their {kind} with training"
                      for kind, share in overlaps(data, split).items()]
            lines.append(
                f"{split.title}{': ' * bool(split.title)}{len(split.y):,} images to learn from, "
                f"{len(split.y_test):,} to test on; "
                f"{', '.join(shares) or 'whether they share persons is not known'}")
        return lines

    def transform(self) -> Transform | None:
        return transforms.Compose([
            transforms.RandomHorizontalFlip(),
            transforms.RandomAffine(ROTATE, (SHIFT, SHIFT), (1 - SCALE, 1 + SCALE),
                                    padding_mode="border"),
            transforms.ColorJitter(LIGHT, LIGHT),
            transforms.GaussianNoise(sigma=NOISE),
            transforms.RandomErasing(0.5, COVERED, value="mean")])

    def model(self, models: Any, data: Data, options: Options) -> Any:
        return models.DeXpression(len(data.classes), data.x.shape[-1], options.variant,
                                  data.x.shape[1])

    def optimizer(self, optim: Any, parameters: Any, recipe: Recipe) -> Any:
        return optim.AdamW(parameters, lr=recipe.lr, weight_decay=WEIGHT_DECAY)

    def scheduler(self, optim: Any, optimizer: Any, recipe: Recipe, steps: int) -> Any:
        return optim.lr_scheduler.OneCycleLR(optimizer, max_lr=recipe.lr, total_steps=steps)

    def loss(self, implementation: Implementation, data: Data, y: Array) -> Loss:
        """Cross-entropy with smoothed labels, in which rare classes weigh more."""
        count = np.bincount(y, minlength=len(data.classes))
        weight = implementation.tensor(np.maximum(count, 1).astype(np.float32)**-BALANCE)

        def loss(logits: Any, target: Any) -> Any:
            return implementation.functional.cross_entropy(
                logits, target, weight.to(logits.dtype), label_smoothing=SMOOTHING)
        return loss

    def outputs(self, implementation: Implementation, model: Any, x: Array) -> Array:
        """The mean logits of each image and its mirror image: a face is read alike in both."""
        sides = x, np.ascontiguousarray(x[..., ::-1])
        return np.mean([implementation.predict(model, side) for side in sides], 0)

    def particulars(self, options: Options) -> dict[str, Any]:
        return {key: getattr(options, key) for key in
                ("protocol", "folds", "repeats", "size", "frames", "variant", "casts", "start")}

    def judge(self, data: Data, trained: Sequence[Trained]) -> tuple[dict[str, float],
                                                                     dict[str, Any]]:
        metrics, details = super().judge(data, trained)
        scores: list[dict[str, Any]] = [
            {"title": t.split.title, "count": len(t.split.y_test),
             "accuracy": float(np.mean(t.outputs.argmax(1) == t.split.y_test)),
             **{f"{kind}_overlap": share for kind, share in overlaps(data, t.split).items()}}
            for t in trained]
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

    def remarks(self, metrics: dict[str, float], details: dict[str, Any]) -> list[str]:
        """Intervals, each split, each class, and what was taken for what."""
        by = "bootstrap over persons" if "person_overlap" in metrics else "of independent images"
        lines = [f"95% interval {metrics['test_accuracy_low']:.1%} to "
                 f"{metrics['test_accuracy_high']:.1%} ({by}), macro F1 {metrics['macro_f1']:.3f}"]
        if len(details["splits"]) > 1:
            found = [score["accuracy"] for score in details["splits"]]
            lines += [f"{score['title']}: {score['accuracy']:.2%}" for score in details["splits"]]
            lines.append(f"the splits' mean {np.mean(found):.2%}, standard deviation "
                         f"{np.std(found, ddof=1):.2%}")
        return lines + class_table(details)


def class_table(details: dict[str, Any]) -> list[str]:
    """A line a class: recall, F1, and how often it was read as each."""
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
    """What a checkpoint tells of its training; its options stand beside the rest."""
    config = checkpoint.load(path).config or {}
    return config | config.get("options", {})


def insist_on_fit(path: str, data: Data, options: Options) -> None:
    """Raises Fault if a checkpoint is of another network than the one that is to start from it."""
    known = trained_on(path)
    for key, value in (("task", DexpressionTask.name), ("variant", options.variant),
                       ("shape", list(data.x.shape[1:])), ("classes", list(data.classes))):
        if known.get(key) != value:
            raise Fault(f"{path}: cannot be started from: its {key} is {known.get(key)}, "
                        f"not {value}")


def rows_of_splits(data: Data, options: Options) -> Iterator[tuple[str, Array, Array]]:
    """Each split by the protocol: its title, and the rows trained and tested on.

    **Raises** Fault if the data do not tell what the protocol keeps apart, or cannot be shared out.
    """
    protocol, n, repeats = options.protocol, options.folds or HOLD_OUT, options.repeats
    if protocol == "given":
        if data.test_rows is None:
            raise Fault(f"--protocol given: {data.name} has no test part of its own")
        if options.folds or repeats > 1:
            raise Fault("--protocol given: there is one split, so neither --folds nor --repeats")
        yield "", np.setdiff1d(np.arange(len(data.y)), data.test_rows), data.test_rows
        return
    groups = {"random": np.arange(len(data.y)), "clip": data.clips,
              "person": data.subjects}[protocol]
    if groups is None:
        others = "random" + " or given" * (data.test_rows is not None)
        raise Fault(f"--protocol {protocol}: {data.name} does not say which images belong to "
                    f"one {protocol}; only --protocol {others} can split it")
    if len(np.unique(groups)) < n:
        what = {"random": "images", "clip": "recordings", "person": "persons"}[protocol]
        raise Fault(f"--folds {n}: {data.name} has only {len(np.unique(groups))} {what} to share "
                    "out")
    for repeat in range(repeats):
        for k in range(options.folds or 1):
            if protocol == "random":
                train, test = random_split(data.y, k, n, options.seed, repeat)
            else:
                split = {"clip": clip_split, "person": person_split}[protocol]
                train, test = split(groups, data.y, k, n, options.seed, repeat)
            if protocol != "random" and overlap(groups, train, test) > 0:
                raise AssertionError(f"--protocol {protocol}: a {protocol} is on both sides")
            titles = [f"fold {k + 1}/{n}"] if options.folds else []
            titles += [f"repeat {repeat + 1}/{repeats}"] if repeats > 1 else []
            yield ", ".join(titles), train, test


def kinds(data: Data) -> dict[str, Array]:
    """What images may have in common, as far as it is known: a label for each row."""
    return {kind: groups for kind, groups in (("person", data.subjects), ("clip", data.clips))
            if groups is not None}


def overlaps(data: Data, split: Split) -> dict[str, float]:
    """The share of test images whose person, and whose recording, training has seen."""
    return {kind: overlap(groups, split.train_rows, split.test_rows)
            for kind, groups in kinds(data).items()}
