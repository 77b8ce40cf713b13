"""What the tasks for digits share: their data, and a training according to a `DigitRecipe`."""

from __future__ import annotations

import contextlib
import copy
from abc import abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import Self, TypeVar

from comparisons.datasets.base import Array, Data
from comparisons.datasets.crops import Subject
from comparisons.datasets.digits import digits, whole_digit
from comparisons.datasets.idx import KNOWN
from comparisons.datasets.mnist import download_mnist, load_mnist, load_subset
from comparisons.errors import DataError
from comparisons.implementations import Implementation
from comparisons.tasks.digit_recipes import DigitRecipe
from comparisons.tasks.images import ImageTask
from comparisons.tasks.ingredients import RecipeOptions
from comparisons.tasks.task import Loss, Transform

DIGITS = ("mnist", "mnist-subset")
TITLES = {"mnist-subset": "MNIST", **{known.name: known.title for known in KNOWN}}
IMAGE = Subject("image", whole_digit, whole_digit)
"""What `predict` expects if the network was not trained on digits: one item, in the middle."""

OptionsT = TypeVar("OptionsT", bound=RecipeOptions)


class DigitTask(ImageTask[OptionsT]):
    """A task that classifies digits, or other small images in their format.

    Its option `variant` names one of the recipes.
    """

    reads = "digits or other images in IDX files, the format of MNIST"
    shares_data = "digits"
    subject = Subject("digit", digits, whole_digit)
    recipes: Mapping[str, DigitRecipe]
    variant: str                        # the name of the chosen one
    ingredients: DigitRecipe            # what is left of it

    def __init__(self) -> None:
        self.follow(self.options())

    def follow(self, options: OptionsT) -> None:
        """Train according to the recipe that the options choose."""
        self.variant = options.own()["variant"]
        self.ingredients = recipe = self.recipes[self.variant].without(options.without)
        self.epochs, self.batch_size, self.lr = recipe.epochs, recipe.batch_size, recipe.lr
        self.weight_decay, self.averaging = recipe.weight_decay, recipe.averaging
        self.cycle = recipe.cycle
        self.notes = (*notes(recipe), *ImageTask.notes)

    def with_options(self, options: OptionsT) -> Self:
        task = copy.copy(self)
        task.follow(options)
        return task

    def load(self, options: OptionsT) -> Data:
        """The user's IDX files, or else a download of MNIST, or else, without internet, the
        embedded digits."""
        if options.embedded:
            return load_subset()
        data = load_mnist(options.data)
        if data.name == "mnist-subset" and not options.quick:
            with contextlib.suppress(DataError):
                data = load_mnist(download_mnist())
        return data

    def title_for(self, data: Data) -> str:
        return f"{TITLES.get(data.name, data.name)}, {self.network(data)}"

    @abstractmethod
    def network(self, data: Data) -> str:
        """The network for these data, in words."""

    def subject_for(self, dataset: str) -> Subject | None:
        return self.subject if dataset in DIGITS else IMAGE

    def transform(self) -> Transform | None:
        return self.ingredients.transform()

    def loss(self, implementation: Implementation, data: Data, y: Array) -> Loss:
        return partial(implementation.functional.cross_entropy,
                       label_smoothing=self.ingredients.smoothing)


def notes(recipe: DigitRecipe) -> list[str]:
    """The recipe in words, for the report."""
    told = ["The loss is the cross-entropy: the mean of −ln p, where p is the probability that the "
            "network gives to the true class."]
    if recipe.smoothing:
        told.append(f"Its labels are smoothed: a share of {recipe.smoothing:g} is spread evenly "
                    "over all classes, so it is not zero even for perfect predictions.")
    if recipe.cycle:
        told.append("The learning rate rises to the value given below and falls to zero again (one "
                    "cycle).")
    if recipe.norm:
        told.append("Each hidden layer has batch norm before its ReLU.")
    if recipe.dropout is not None:
        told.append(f"In training, {recipe.dropout.pixels:.0%} of the pixels and "
                    f"{recipe.dropout.hidden:.0%} of the hidden values are set to zero at random "
                    "(dropout), equally for both implementations.")
    if kinds := [words for words, used in (
            ("distorted", recipe.elastic), ("rotated, scaled and shifted", recipe.affine)) if used]:
        told.append(f"Training images are {' and '.join(kinds)} a little at random, differently in "
                    "each epoch but equally for both implementations.")
    if recipe.averaging is not None:
        told.append("The network that is evaluated has the moving average of the trained weights.")
    return told
