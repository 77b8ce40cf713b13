"""DeXpression (Burkert et al. 2015): facial expressions, seven classes, split by person.

The frames of one clip are near copies of each other, and people keep their faces. A split over
images therefore tests memory: it gives the paper's 99.6%. The default holds whole persons out;
`--protocol` chooses, and the overlap is measured and printed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from comparisons.classification import ImageTask
from comparisons.datasets import (
    Data,
    clip_split,
    load_faces,
    overlap,
    person_split,
    random_split,
)
from comparisons.task import (
    Fault,
    Headline,
    Options,
    Recipe,
    Split,
    Trained,
    Transform,
    shortened,
)
from minigrad.data import transforms

EPOCHS = 12
BATCH_SIZE = 32
LR = 2e-3               # the peak of the cycle
WEIGHT_DECAY = 0.01
ROTATE, SCALE, SHIFT = 8, 0.08, 0.06    # degrees, and parts of the image: a face is never centred
HOLD_OUT = 5            # without --folds, one part in five is the test set


class DexpressionTask(ImageTask):
    name = "dexpression"
    title = "DeXpression, facial expressions"
    epochs = EPOCHS
    batch_size = BATCH_SIZE
    lr = LR
    quick_items = 64
    headlines = (Headline("accuracy", "test_accuracy", "linear classifier", "linear_accuracy"),)

    def load(self, options: Options) -> Data:
        return load_faces(options.data, size=options.size, seed=0)

    def splits(self, data: Data, options: Options) -> list[Split]:
        protocol, n = options.protocol, options.folds or HOLD_OUT
        groups = {"random": np.arange(len(data.y)), "clip": data.clips,
                  "person": data.subjects}[protocol]
        if groups is None:
            raise Fault(f"--protocol {protocol}: {data.name} does not say which images belong to "
                        f"one {protocol}; only --protocol random can split it")
        if len(np.unique(groups)) < n:
            raise Fault(f"--folds {n}: {data.name} has only {len(np.unique(groups))} to share out")
        splits = []
        for k in range(options.folds or 1):
            if protocol == "random":
                train, test = random_split(data.y, k, n, options.seed)
            else:
                split = {"clip": clip_split, "person": person_split}[protocol]
                train, test = split(groups, data.y, k, n, options.seed)
            # the rows come person by person: mixed, so that a shortened split has all classes
            train, test = (np.random.default_rng(options.seed).permutation(rows)
                           for rows in (train, test))
            splits.append(Split(data.x[train], data.y[train], data.x[test], data.y[test],
                                train, test, f"fold {k + 1}/{n}" if options.folds else ""))
        return [shortened(s, self.quick_items) for s in splits] if options.quick else splits

    def transform(self) -> Transform | None:
        return transforms.Compose([
            transforms.RandomHorizontalFlip(),
            transforms.RandomAffine(ROTATE, (SHIFT, SHIFT), (1 - SCALE, 1 + SCALE))])

    def model(self, models: Any, data: Data, options: Options) -> Any:
        return models.DeXpression(len(data.classes), data.x.shape[-1], options.variant,
                                  data.x.shape[1])

    def optimizer(self, optim: Any, parameters: Any, recipe: Recipe) -> Any:
        return optim.AdamW(parameters, lr=recipe.lr, weight_decay=WEIGHT_DECAY)

    def scheduler(self, optim: Any, optimizer: Any, recipe: Recipe, steps: int) -> Any:
        return optim.lr_scheduler.OneCycleLR(optimizer, max_lr=recipe.lr, total_steps=steps)

    def particulars(self, options: Options) -> dict[str, Any]:
        return {key: getattr(options, key) for key in ("protocol", "folds", "size", "variant")}

    def judge(self, data: Data, trained: Sequence[Trained]) -> tuple[dict[str, float],
                                                                     dict[str, Any]]:
        metrics, details = super().judge(data, trained)
        for kind, groups in (("person", data.subjects), ("clip", data.clips)):
            if groups is not None:
                metrics[f"{kind}_overlap"] = float(np.average(
                    [overlap(groups, t.split.train_rows, t.split.test_rows) for t in trained],
                    weights=[len(t.split.test_rows) for t in trained]))
        return metrics, details
