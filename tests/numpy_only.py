"""Use all of minigrad in a process that has no package but NumPy; test_numpy_only.py starts it.

What is used comes from the tables of the other tests, so a new op, layer, optimiser, scheduler or
transform is used here as well. Those tests import PyTorch, hypothesis and more, for comparisons
that are not made here; while their tables are being read, stand-ins take the place of these
packages. By then all of minigrad has been imported without them.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np

import minigrad as mg
import minigrad.functional as F
from minigrad import data, models, nn, optim, train
from minigrad.optim import lr_scheduler, swa_utils
from minigrad.testing import gradcheck, gradgradcheck, mutate

MORE_THAN_NUMPY = ["minigrad.checkpoint", "minigrad.testing.strategies"]   # safetensors, hypothesis


class StandIn(ModuleType):
    """A package of which a table takes only what is not used here. A name in it is the stand-in
    itself, or, where it is capitalised, a class without instances."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {}) if name[0].isupper() else self

    def sampled_from(self, elements: Any) -> StandIn:
        """hypothesis's: a table may pin the first of the elements."""
        strategy = StandIn("strategy")
        strategy.elements = elements
        return strategy

    def _itself(self, *args: Any, **kwargs: Any) -> StandIn:
        return self

    __call__ = __getitem__ = __or__ = __ror__ = map = flatmap = filter = _itself


class StandInFinder:
    """Imports each of `packages`, and whatever is in it, as a stand-in."""

    def __init__(self, *packages: str) -> None:
        self.packages = packages

    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
        known = name.partition(".")[0] in self.packages
        return ModuleSpec(name, self, is_package=True) if known else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


def modules_of_minigrad() -> list[str]:
    names = [info.name for info in pkgutil.walk_packages(mg.__path__, "minigrad.")]
    return [name for name in names if name not in MORE_THAN_NUMPY and "__main__" not in name]


def tables(*names: str) -> list[ModuleType]:
    """The modules of tests with these names, imported with stand-ins."""
    finder = StandInFinder("torch", "torchvision", "hypothesis", "pytest", "scipy", "numba")
    sys.meta_path.insert(0, finder)
    try:
        return [importlib.import_module(name) for name in names]
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name, module in sys.modules.items() if isinstance(module, StandIn)]:
            del sys.modules[name]


# ---- what is used --------------------------------------------------------------------------------

def use_op(case: Any) -> None:
    """Forward, and backward where the op has a gradient, which is checked numerically."""
    for call in case.examples:
        xs = [None if x is None else mg.Tensor(x, x.dtype.kind == "f" and case.differentiable)
              for x in call.arrays]
        if case.differentiable:
            assert gradcheck(lambda *xs, call=call: case(*xs, **call.static), xs)
        else:
            case(*xs, **call.static)


def use_layer(name: str, args: Any, kwargs: Any, inputs: Any) -> None:
    """Forward and backward in training mode, forward in evaluation mode."""
    rng = np.random.default_rng(0)

    def argument(value: Any) -> Any:
        return (mg.tensor(value, dtype=mg.float32) if isinstance(value, np.ndarray) else value)

    layer = getattr(nn, name)(*map(argument, args),
                              **{key: argument(value) for key, value in kwargs.items()})
    arrays = [np.asarray(make(rng)) for make in inputs]
    xs = [mg.Tensor(x.astype(np.float32), True) if x.dtype.kind == "f" else mg.Tensor(x)
          for x in arrays]
    y = layer(*xs)
    if y.requires_grad:
        y.sum().backward()
    layer.eval()
    with mg.no_grad():
        layer(*xs)


def use_optimiser(name: str, options: dict[str, Any]) -> None:
    """On parameters that are small and on one that is large, with and without a scheduler."""
    params = [nn.Parameter(np.ones(shape, np.float32)) for shape in ((), (3, 2), (200, 100))]
    optimizer = getattr(optim, name)(params, **options)
    for _ in range(2):
        sum((p * p).sum() for p in params).backward()
        optimizer.step()
    getattr(optim, name)(params).load_state_dict(optimizer.state_dict())


def use_scheduler(name: str, options: dict[str, Any]) -> None:
    optimizer = optim.SGD([{"params": [nn.Parameter(np.ones(2))]},
                           {"params": [nn.Parameter(np.ones(3))]}], lr=0.1, momentum=0.9)
    scheduler = getattr(lr_scheduler, name)(optimizer, **options)
    scheduler.step(*([1.0] if name == "ReduceLROnPlateau" else []))
    scheduler.load_state_dict(scheduler.state_dict())


def use_transform(transform: Any) -> None:
    transform(np.ones((3, 3, 7, 9), np.float32), np.random.default_rng(0))


def use_model(make: Callable[[], nn.Module], shape: tuple[int, ...], loss: Any) -> None:
    """Train on two batches with augmentation, schedule and average, then predict."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((12, *shape)).astype(np.float32)
    mg.manual_seed(0)
    model = make()
    y = (np.arange(12) % 7 if loss is F.cross_entropy
         else np.zeros(model(mg.Tensor(x)).shape, np.float32))
    augment = data.transforms.RandomHorizontalFlip() if len(shape) == 3 else None
    loader = data.DataLoader(data.ArrayDataset(x, y), 8, shuffle=True, transform=augment)
    optimizer = optim.Adam(model.parameters())
    averaged = swa_utils.AveragedModel(model)
    train.fit(model, loader, loss, optimizer, epochs=1, averaged=averaged,
              scheduler=lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=4))
    assert np.isfinite(train.predict(averaged, x)).all()


MODELS: list[tuple[Callable[[], nn.Module], tuple[int, ...], Any]] = [
    (models.LinearRegression, (1,), F.mse_loss),
    (models.LogisticRegression, (8,), F.binary_cross_entropy_with_logits),
    (models.MLP, (1, 28, 28), F.cross_entropy),
    (models.CNN, (1, 28, 28), F.cross_entropy),
    (lambda: models.DeXpression(size=16), (1, 16, 16), F.cross_entropy),
    (lambda: models.DeXpression(size=48, variant="compact"), (1, 48, 48), F.cross_entropy),
]


def use_what_no_table_lists() -> None:
    x = mg.randn(40, 3, 16, 16, requires_grad=True)
    for layer in (nn.Conv2d(3, 16, 3), nn.Conv2d(3, 3, 3, stride=2, groups=3)):     # not small
        layer(x).relu().square().mean().backward()
    assert gradgradcheck(lambda x: x.exp() * x, mg.randn(3, dtype=mg.float64, requires_grad=True))
    assert mutate(lambda x: x.exp() * x, mg.randn(3, dtype=mg.float64, requires_grad=True)).ok
    for shape in ((2, 3), (500, 500)):                                              # matrices
        assert (mg.ones(shape) @ mg.ones(shape[::-1])).sum().item() == shape[0]**2 * shape[1]
    F.dropout(mg.rand(3, 4), 0.5)
    mg.random.default_generator.permutation(4)
    assert importlib.import_module("minigrad.__main__").main(["warmup"]) == 0


def main() -> None:
    for name in modules_of_minigrad():
        importlib.import_module(name)
    ops, layers, optimisers, schedulers, transforms = tables(
        "op_cases", "test_nn", "optimisers", "test_lr_scheduler", "test_transforms")
    uses: list[tuple[Callable[..., None], list[Any]]] = [
        (use_op, [(case,) for case in ops.CASES]), (use_layer, layers.CASES),
        (use_optimiser, optimisers.OPTIMISERS), (use_scheduler, schedulers.SCHEDULERS),
        (use_transform, [(transform,) for transform in transforms.EVERY]), (use_model, MODELS),
        (use_what_no_table_lists, [()])]
    for use, table in uses:
        for entry in table:
            try:
                use(*entry)
            except Exception as error:
                error.add_note(f"{use.__name__} {entry}")
                raise


if __name__ == "__main__":
    main()
