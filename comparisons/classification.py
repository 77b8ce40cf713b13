"""What the image tasks share: the loss, the linear reference, accuracy and sample predictions."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
from PIL import Image

from comparisons.datasets import Data
from comparisons.implementations import Implementation
from comparisons.statistics import balanced_accuracy, confusion_matrix, per_class, wilson
from comparisons.task import Array, Loss, Split, Task, Trained

SAMPLES = 12            # images shown of those right, and of those wrong


class ImageTask(Task):
    """Images in, one of a few classes out."""

    reads_data = True
    linear_c = 0.1      # inverse strength of the linear reference's penalty, by validation on
                        # training images: the best of 0.01, 0.1 and 1 for digits, near it for faces

    def loss(self, implementation: Implementation, data: Data, y: Array) -> Loss:
        return implementation.functional.cross_entropy

    def watch(self, implementation: Implementation, model: Any, split: Split) -> dict[str, float]:
        # not by `outputs`, which may look twice: a curve is looked at, and costs time every epoch
        guesses = implementation.predict(model, split.x_test).argmax(1)
        return {"test_accuracy": float(np.mean(guesses == split.y_test))}

    def baselines(self, data: Data, splits: Sequence[Split]) -> dict[str, float]:
        """The commonest class, and a linear classifier on the pixels."""
        truth = np.concatenate([s.y_test for s in splits])
        majority = np.concatenate([np.full(len(s.y_test), np.bincount(s.y).argmax())
                                   for s in splits])
        linear = np.concatenate([linear_guesses(s, self.linear_c) for s in splits])
        confusion = confusion_matrix(truth, linear, len(data.classes))
        return {"majority_accuracy": float(np.mean(majority == truth)),
                "linear_accuracy": float(np.mean(linear == truth)),
                "linear_balanced_accuracy": balanced_accuracy(confusion)}

    def judge(self, data: Data, trained: Sequence[Trained]) -> tuple[dict[str, float],
                                                                     dict[str, Any]]:
        rows = np.concatenate([t.split.test_rows for t in trained])
        truth = np.concatenate([t.split.y_test for t in trained])
        images = np.concatenate([t.split.x_test for t in trained])
        probability = softmax(np.concatenate([t.outputs for t in trained]).astype(np.float64))
        guesses, confidence = probability.argmax(1), probability.max(1)
        right = guesses == truth
        known = len(np.unique(rows))            # tested again in a repeat, an image is no new one
        low, high = wilson(round(right.mean() * known), known)
        confusion = confusion_matrix(truth, guesses, len(data.classes))
        scores = per_class(confusion)
        metrics = {"test_accuracy": float(right.mean()), "test_accuracy_low": low,
                   "test_accuracy_high": high,
                   "balanced_accuracy": balanced_accuracy(confusion),
                   "macro_f1": float(scores["f1"][scores["count"] > 0].mean()),
                   "test_loss": float(-np.log(np.maximum(
                       probability[np.arange(len(truth)), truth], 1e-300)).mean())}
        groups = rows if data.clips is None else data.clips[rows]
        return metrics, {
            "classes": list(data.classes), "rows": rows.tolist(), "targets": truth.tolist(),
            "guesses": guesses.tolist(), "confusion": confusion.tolist(),
            "per_class": {key: values.tolist() for key, values in scores.items()},
            "confidence": np.round(confidence, 4).tolist(),
            "samples": [{"at": i, "png": png(images[i, 0])}
                        for i in samples(truth, guesses, confidence, groups)]}


def samples(truth: Array, guesses: Array, confidence: Array, groups: Array) -> list[int]:
    """Of those right, one of each class in turn; of those wrong, the most confident first.

    groups: what belongs together, as a clip's frames do, which are near copies: among the right
    and among the wrong, one of each is shown.
    """
    def apart(items: Array) -> Array:
        """The first of each group, in the order they come in"""
        kept: Array = items[np.sort(np.unique(groups[items], return_index=True)[1])]
        return kept

    right, wrong = apart(np.flatnonzero(truth == guesses)), np.flatnonzero(truth != guesses)
    wrong = apart(wrong[np.argsort(-confidence[wrong], kind="stable")])
    turns = zip_longest(*(right[truth[right] == c].tolist() for c in np.unique(truth)))
    in_turn = [i for turn in turns for i in turn if i is not None]
    return [*in_turn[:SAMPLES], *wrong[:SAMPLES].tolist()]


def softmax(logits: Array) -> Array:
    e = np.exp(logits - logits.max(1, keepdims=True))
    probability: Array = e / e.sum(1, keepdims=True)
    return probability


def linear_guesses(split: Split, c: float) -> Array:
    """Multinomial logistic regression on the pixels."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    with warnings.catch_warnings():     # the last digits of a reference are not worth the minutes
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier = LogisticRegression(C=c, max_iter=100, tol=1e-3)
        classifier.fit(split.x.reshape(len(split.x), -1), split.y)
    guesses: Array = classifier.predict(split.x_test.reshape(len(split.x_test), -1))
    return guesses


def png(image: Array) -> str:
    """A grey image in [0, 1] as the text of a PNG in base64."""
    stream = io.BytesIO()
    Image.fromarray((np.clip(image, 0, 1) * 255).astype(np.uint8)).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()
