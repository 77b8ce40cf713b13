"""Layers refuse what torch's refuse, and say which argument it was."""

import contextlib
import re

import pytest
import torch

import minigrad as mg
from minigrad import nn

# what torch says before it refuses
pytestmark = [pytest.mark.filterwarnings("ignore:Initializing zero-element"),
              pytest.mark.filterwarnings("ignore:input's size at dim=1")]


def image(n=1, *shape):
    return lambda package: package.ones(n, *(shape or (2, 5, 5)))


# (name, arguments, options, the input at which torch notices, message)
INVALID = [
    ("Linear", (-3, 4), {}, None, "in_features must be at least 0; got -3"),
    ("Linear", (3, -4), {}, None, "out_features must be at least 0; got -4"),
    ("Linear", (3.0, 4), {}, None, "in_features must be an int; got 3.0"),
    ("Linear", ("3", 4), {}, None, "in_features must be an int; got '3'"),
    ("Linear", (3, None), {}, None, "out_features must be an int; got None"),
    ("Conv2d", (3, 4, 3), {"groups": 2}, None, "in_channels must be divisible by groups; got 3"),
    ("Conv2d", (4, 3, 3), {"groups": 2}, None, "out_channels must be divisible"),
    ("Conv1d", (4, 4, 3), {"groups": 0}, None, "groups must be at least 1; got 0"),
    ("Conv1d", (4, 4, 3), {"groups": -2}, None, "groups must be at least 1; got -2"),
    ("Conv2d", (2, 2, 3), {"groups": 1.0}, None, "groups must be an int; got 1.0"),
    ("Conv2d", (-2, 2, 3), {}, None, "in_channels must be at least 0; got -2"),
    ("Conv2d", (2, 2.0, 3), {}, None, "out_channels must be an int; got 2.0"),
    ("Conv2d", (2, 2, 3.0), {}, None, "kernel_size must be an int; got 3.0"),
    ("Conv2d", (2, 2, 0), {}, image(), "kernel_size must be 2 ints of at least 1; got 0"),
    ("Conv2d", (2, 2, -1), {}, None, "kernel_size must be 2 ints of at least 1; got -1"),
    ("Conv2d", (2, 2, (3, 3, 3)), {}, image(), "kernel_size must be 2 ints of at least 1; got"),
    ("Conv2d", (2, 2, 3), {"stride": 0}, image(), "stride must be 2 ints of at least 1; got 0"),
    ("Conv2d", (2, 2, 3), {"stride": 1.5}, image(), "stride must be an int; got 1.5"),
    ("Conv2d", (2, 2, 3), {"stride": (1, 2, 3)}, image(), "stride must be 2 ints of at least 1"),
    ("Conv2d", (2, 2, 3), {"padding": -1}, image(), "padding must be 2 ints of at least 0; got -1"),
    ("Conv2d", (2, 2, 3), {"padding": None}, image(), "padding must be an int; got None"),
    ("Conv2d", (2, 2, 3), {"dilation": 0}, image(), "dilation must be 2 ints of at least 1; got 0"),
    ("Conv2d", (1, 1, 3), {"padding": "full"}, None, "padding must be 'same', 'valid' or sizes"),
    ("Conv2d", (1, 1, 3, 2), {"padding": "same"}, None, "'same' needs stride 1"),
    ("Conv2d", (1, 1, 3), {"padding_mode": "wrap"}, None, "padding_mode must be one of"),
    ("ConvTranspose2d", (1, 1, 3), {"padding_mode": "reflect"}, None, "padding_mode must be one"),
    ("ConvTranspose2d", (2, 1, 3), {"padding": "same"}, image(), "padding must be an int; got"),
    ("AvgPool1d", ((2, 2),), {}, lambda package: package.ones(2, 3, 5),
     "kernel_size must be 1 int of at least 1; got"),
    ("Dropout", ("a",), {}, None, "p must be a number; got 'a'"),
    ("Dropout", (1.5,), {}, None, "p must be between 0 and 1; got 1.5"),
    ("Dropout2d", (-0.5,), {}, None, "p must be between 0 and 1; got -0.5"),
    ("Softmax", (True,), {}, None, "dim must be an int or None; got True"),
    ("LogSoftmax", (1.0,), {}, None, "dim must be an int or None; got 1.0"),
    ("LeakyReLU", ("a",), {}, image(), "negative_slope must be a number; got 'a'"),
    ("ELU", (None,), {}, image(), "alpha must be a number; got None"),
    ("Softplus", (1.0, "b"), {}, image(), "threshold must be a number; got 'b'"),
    ("Hardtanh", ("a", 1), {}, None, "min_val must be a number; got 'a'"),
    ("HuberLoss", (), {"delta": 1j}, None, "delta must be a number; got 1j"),
    ("BatchNorm2d", (-3,), {}, None, "num_features must be at least 0; got -3"),
    ("BatchNorm1d", (3.0,), {}, None, "num_features must be an int; got 3.0"),
    ("BatchNorm2d", (2,), {"eps": "a"}, image(), "eps must be a number; got 'a'"),
    ("BatchNorm2d", (2,), {"momentum": "a"}, image(), "momentum must be a number; got 'a'"),
    ("BatchNorm2d", (3,), {}, image(2, 3), "BatchNorm2d: input must have 4 dims; got"),
    ("BatchNorm1d", (3,), {}, image(2, 3, 4, 5), "BatchNorm1d: input must have 2 or 3 dims"),
    ("InstanceNorm1d", (3,), {"affine": True}, image(2, 4, 5), "input must have 3 channels; got"),
    ("InstanceNorm2d", (3, 1e-5, 0.1, False, True), {}, image(2, 4, 5, 5), "must have 3 channels"),
    ("LayerNorm", (-1,), {}, None, "normalized_shape must be at least 0; got -1"),
    ("LayerNorm", ((2, 3.0),), {}, None, "normalized_shape must be an int; got 3.0"),
    ("GroupNorm", (4, 6), {}, None, "num_channels must be divisible by num_groups; got 6 and 4"),
    ("GroupNorm", (2, -6), {}, None, "num_channels must be at least 0; got -6"),
    ("LocalResponseNorm", (0,), {}, image(), "size must be at least 1; got 0"),
    ("LocalResponseNorm", (2, "a"), {}, image(), "alpha must be a number; got 'a'"),
    ("Embedding", (-1, 3), {}, None, "num_embeddings must be at least 0; got -1"),
    ("Embedding", (3, 2.5), {}, None, "embedding_dim must be an int; got 2.5"),
    ("Embedding", (4, 2), {"padding_idx": 4}, None, "padding_idx 4 is outside the table of 4"),
    ("Embedding", (4, 2), {"padding_idx": -5}, None, "padding_idx -5 is outside the table of 4"),
    ("Embedding", (4, 2), {"padding_idx": 1.0}, None, "padding_idx must be an int; got 1.0"),
    ("Embedding", (4, 2), {"sparse": 1.5}, lambda package: package.ones(2), "embedding"),
    ("Upsample", (), {}, image(), "size"), ("Upsample", (3, 2.0), {}, image(), "size"),
    ("Upsample", (3,), {"mode": "cube"}, image(), "mode must be one of"),
    ("Upsample", (None, "a"), {}, None, "scale_factor must be a number; got 'a'"),
    ("Upsample", (None, [2, 2]), {}, None, "scale_factor must be a number; got [2, 2]"),
    ("Upsample", (None, (2.0,)), {}, image(), "interpolate: needs one number or one"),
    ("Unfold", (0,), {}, image(), "kernel_size must be"),
    ("Fold", (5, 2), {}, image(), "fold: "),
    ("Unflatten", (1, 6), {}, None, "unflattened_size must be a tuple of ints; got 6"),
    ("Unflatten", (1, (2, "a")), {}, None, "unflattened_size must be an int; got 'a'"),
    ("Unflatten", (4, (1, 2)), {}, image(), "dim 4 is out of range for input"),
    ("Unflatten", (1, (4, 2)), {}, image(), "(4, 2) does not fit dim 1 of input (1, 2, 5, 5)"),
    ("Unflatten", (-1, (4, -1)), {}, image(), "(4, -1) does not fit dim 3"),
    ("Unflatten", (1, (-1, -1)), {}, image(), "(-1, -1) does not fit dim 1"),
    ("Unflatten", (1, ()), {}, lambda package: package.ones(2, 1), "must be a tuple of ints"),
    ("Dropout1d", (), {}, lambda package: package.ones(3), "at least 2 dims; got (3,)"),
]


@pytest.mark.parametrize(("name", "args", "options", "x", "message"), INVALID,
                         ids=[f"{i[0]}{i[1]}{i[2] or ''}" for i in INVALID])
def test_wrong_arguments(name, args, options, x, message):
    def build(package, layers):
        layer = getattr(layers, name)(*args, **options)
        return layer if x is None else layer(x(package))
    refusals = (ValueError, TypeError, RuntimeError, IndexError)
    with pytest.raises((*refusals, AssertionError)):
        build(torch, torch.nn)
    with pytest.raises(refusals, match=re.escape(message)) as caught:
        build(mg, nn)
    assert "\n" not in str(caught.value)


def test_wrong_calls():
    grow = nn.ConvTranspose2d(3, 4, 3, stride=2)
    for wrong, message in [
            (lambda: nn.Linear(2, 2).train(1), "mode must be a bool"),
            (lambda: grow(mg.ones(1, 3, 4, 4), output_size=(8, 9)),
             r"between \[9, 9\] and \[10, 10\] for input \(1, 3, 4, 4\); got \[8, 9\]"),
            (lambda: grow(mg.ones(1, 3, 4, 4), output_size=(9, 11)), "output_size must lie"),
            (lambda: grow(mg.ones(1, 3, 4, 4), output_size=(9,)), "output_size must lie"),
            (lambda: nn.Embedding(4, 2, _weight=mg.ones(4, 3)), r"shape \(4, 2\); got \(4, 3\)"),
            (lambda: nn.Embedding.from_pretrained(mg.ones(4)), "embeddings must have 2 dims")]:
        with pytest.raises(ValueError, match=message):
            wrong()


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (2,)])
def test_a_count_of_shape_1_is_loaded_as_in_torch(shape):
    loaded = []
    for module, ones in ((nn.BatchNorm1d(2), mg.ones), (torch.nn.BatchNorm1d(2), torch.ones)):
        state = dict(module.state_dict()) | {"num_batches_tracked": ones(shape)}
        with contextlib.suppress(RuntimeError):
            module.load_state_dict(state)
        loaded.append((module.num_batches_tracked.item(), module.num_batches_tracked.shape))
    assert loaded[0] == loaded[1] == (len(shape) < 2 and shape != (2,), ())
