"""The public names, called as torch's are: every argument by name, and by position as far as torch
allows, as function and as Tensor method. Where torch has an answer, ours is the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional

import minigrad as mg
from minigrad.tensor import Tensor
from minigrad.testing.checks.running import compare, listed

rng = np.random.default_rng(0)
X, Y, Z = (rng.standard_normal((4, 4)) for _ in range(3))
P, V, W = rng.uniform(0.3, 3, (4, 4)), rng.standard_normal(4), rng.standard_normal(4)
B, PLACES, M = rng.standard_normal((2, 4, 4)), np.array([2, 0, 3]), X > 0
IMAGE, KERNEL, BIAS = (rng.standard_normal(shape) for shape in ((2, 4, 8, 8), (6, 2, 3, 3), (6,)))
LINE, LINE_KERNEL = rng.standard_normal((2, 4, 9)), rng.standard_normal((6, 2, 3))
BACK, BACK_BIAS = rng.standard_normal((4, 3, 3, 3)), rng.standard_normal(6)
CLASSES, PROBABILITY = np.array([1, 0, 3, 2]), rng.uniform(0.1, 0.9, (4, 4))
CLASS_WEIGHTS = rng.uniform(0.5, 2, 4)
STATISTICS = {"running_mean": rng.standard_normal(4), "running_var": rng.uniform(0.5, 2, 4)}
AFFINE = {"weight": rng.standard_normal(4), "bias": rng.standard_normal(4)}
Windows = dict[str, Any]
WINDOWS: Windows = {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0)}

LEGACY_AVERAGE, LEGACY_REDUCE = {"size_average": None}, {"reduce": None}
LEGACY = LEGACY_AVERAGE | LEGACY_REDUCE         # out of use, but torch's signatures still have them


def each(names: str, **arguments: Any) -> list[tuple[str, dict[str, Any]]]:
    return [(name, arguments) for name in names.split()]


TENSORS: list[tuple[str, dict[str, Any]]] = [
    *each("neg exp expm1 log1p abs sign sin cos tan tanh sigmoid erf square relu t", input=X),
    *each("log sqrt rsqrt reciprocal", input=P),
    *each("add sub mul div maximum minimum matmul remainder floor_divide", input=X, other=Y),
    ("add", {"input": X, "other": Y, "alpha": 2}), ("sub", {"input": X, "other": Y, "alpha": 0.5}),
    ("div", {"input": X, "other": P, "rounding_mode": "floor"}),
    ("pow", {"input": P, "exponent": Y}), ("clamp", {"input": X, "min": -0.5, "max": 0.5}),
    ("where", {"condition": M, "input": X, "other": Y}), ("where", {"condition": M}),
    *each("sum mean prod amax amin max min argmax argmin var std logsumexp any all", input=X, dim=1,
          keepdim=True),
    *each("sum mean amax amin var std logsumexp", input=X, dim=(0, 1), keepdim=False),
    *each("sum mean prod amax amin max min argmax argmin var std any all", input=X),
    *each("sum mean prod cumsum softmax log_softmax", input=X, dim=0, dtype="float32"),
    *each("softmax log_softmax cumsum", input=X, dim=1),
    *each("var std", input=X, dim=0, correction=2, keepdim=True),
    *each("var std", input=X, dim=0, unbiased=False, keepdim=True),
    ("max", {"input": X, "other": Y}), ("min", {"input": X, "other": Y}),
    ("mm", {"input": X, "mat2": Y}), ("bmm", {"input": B, "mat2": B}),
    ("dot", {"input": V, "tensor": W}),
    ("reshape", {"input": X, "shape": (2, 8)}), ("broadcast_to", {"input": V, "size": (3, 4)}),
    ("permute", {"input": B, "dims": (2, 0, 1)}), ("transpose", {"input": B, "dim0": 0, "dim1": 2}),
    ("squeeze", {"input": B[:, :1], "dim": 1}), ("unsqueeze", {"input": X, "dim": -1}),
    ("cat", {"tensors": [X, Y], "dim": 1}), ("stack", {"tensors": [X, Y], "dim": 1}),
    ("split", {"tensor": X, "split_size_or_sections": [1, 3], "dim": 1}),
    ("chunk", {"input": X, "chunks": 3, "dim": 1}),
    ("index_select", {"input": X, "dim": 1, "index": PLACES}),
    ("gather", {"input": X, "dim": 1, "index": np.array([[2, 0], [1, 1]])}),
    ("flip", {"input": X, "dims": (0, 1)}), ("roll", {"input": X, "shifts": 1, "dims": 0}),
    ("roll", {"input": X, "shifts": (1, 2), "dims": (0, 1)}),
    ("flatten", {"input": B, "start_dim": 1, "end_dim": 2}),
    ("tril", {"input": X, "diagonal": 1}), ("triu", {"input": X, "diagonal": -1}),
    ("masked_fill", {"input": X, "mask": M, "value": 2.5}),
    ("zeros_like", {"input": X}), ("ones_like", {"input": X}),
]
"""Names of torch itself, with all the arguments that minigrad has."""

METHODS: list[tuple[str, dict[str, Any]]] = [
    ("view", {"input": X, "size": (2, 8)}), ("expand", {"input": V, "size": (3, 4)}),
    ("split", {"input": X, "split_size": 3, "dim": 1}),
    *each("contiguous clone float double bool", input=X), ("long", {"input": P}),
]

FUNCTIONAL: list[tuple[str, dict[str, Any]]] = [
    ("pad", {"input": X, "pad": (1, 2), "mode": "constant", "value": 3.0}),
    ("pad", {"input": IMAGE, "pad": (1, 2, 0, 1), "mode": "reflect"}),
    *each("relu silu", input=X, inplace=False),
    ("leaky_relu", {"input": X, "negative_slope": 0.2, "inplace": False}),
    ("elu", {"input": X, "alpha": 0.7, "inplace": False}),
    ("gelu", {"input": X, "approximate": "tanh"}),
    ("softplus", {"input": X, "beta": 2.0, "threshold": 1.0}),
    ("hardtanh", {"input": X, "min_val": -0.5, "max_val": 0.7, "inplace": False}),
    *each("logsigmoid sigmoid tanh", input=X),
    *each("softmax log_softmax", input=X, dim=1, dtype=None),
    ("dropout", {"input": X, "p": 0.5, "training": False, "inplace": False}),
    ("linear", {"input": X, "weight": Y, "bias": V}),
    ("conv1d", {"input": LINE, "weight": LINE_KERNEL, "bias": BIAS, "stride": 2, "padding": 1,
                "dilation": 2, "groups": 2}),
    ("conv2d", {"input": IMAGE, "weight": KERNEL, "bias": BIAS, "stride": (2, 1), "padding": 1,
                "dilation": (1, 2), "groups": 2}),
    ("conv2d", {"input": IMAGE, "weight": KERNEL, "bias": None, "stride": 1, "padding": "same",
                "dilation": 1, "groups": 2}),
    ("conv_transpose2d", {"input": IMAGE, "weight": BACK, "bias": BACK_BIAS, "stride": 2,
                          "padding": 1, "output_padding": 1, "groups": 2, "dilation": 1}),
    ("max_pool2d", {"input": IMAGE, **WINDOWS, "dilation": 1, "ceil_mode": True,
                    "return_indices": False}),
    ("avg_pool2d", {"input": IMAGE, **WINDOWS, "ceil_mode": True, "count_include_pad": False,
                    "divisor_override": None}),
    ("conv_transpose1d", {"input": LINE, "weight": BACK[..., 0], "bias": BACK_BIAS, "stride": 2,
                          "padding": 1, "output_padding": 1, "groups": 2, "dilation": 1}),
    ("max_pool1d", {"input": LINE, "kernel_size": 3, "stride": 2, "padding": 1, "dilation": 2,
                    "ceil_mode": True, "return_indices": False}),
    ("avg_pool1d", {"input": LINE, "kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True,
                    "count_include_pad": False}),
    ("adaptive_avg_pool1d", {"input": LINE, "output_size": 3}),
    ("adaptive_max_pool1d", {"input": LINE, "output_size": 3, "return_indices": False}),
    ("adaptive_avg_pool2d", {"input": IMAGE, "output_size": (3, 2)}),
    ("adaptive_max_pool2d", {"input": IMAGE, "output_size": (3, 2), "return_indices": False}),
    ("batch_norm", {"input": IMAGE, **STATISTICS, **AFFINE, "training": False, "momentum": 0.2,
                    "eps": 1e-3}),
    ("layer_norm", {"input": X, "normalized_shape": (4,), **AFFINE, "eps": 1e-3}),
    ("group_norm", {"input": IMAGE, "num_groups": 2, **AFFINE, "eps": 1e-3}),
    ("instance_norm", {"input": IMAGE, **STATISTICS, **AFFINE, "use_input_stats": False,
                       "momentum": 0.2, "eps": 1e-3}),
    ("local_response_norm", {"input": IMAGE, "size": 3, "alpha": 0.1, "beta": 0.5, "k": 2.0}),
    ("embedding", {"input": PLACES, "weight": X, "padding_idx": 2, "max_norm": None,
                   "norm_type": 2.0, "scale_grad_by_freq": False, "sparse": False}),
    ("normalize", {"input": X, "p": 3.0, "dim": 0, "eps": 1e-6}),
    ("cosine_similarity", {"x1": X, "x2": Y, "dim": 0, "eps": 1e-6}),
    ("interpolate", {"input": IMAGE, "size": (5, 11), "scale_factor": None, "mode": "nearest"}),
    ("interpolate", {"input": IMAGE, "size": None, "scale_factor": (1.5, 0.7), "mode": "bilinear",
                     "align_corners": False, "recompute_scale_factor": False,
                     "antialias": False}),
    ("unfold", {"input": IMAGE, "kernel_size": 3, "dilation": 2, "padding": 1, "stride": 2}),
    ("cross_entropy", {"input": X, "target": CLASSES, "weight": CLASS_WEIGHTS, **LEGACY_AVERAGE,
                       "ignore_index": 3, **LEGACY_REDUCE, "reduction": "sum",
                       "label_smoothing": 0.1}),
    ("nll_loss", {"input": X, "target": CLASSES, "weight": CLASS_WEIGHTS, **LEGACY_AVERAGE,
                  "ignore_index": 3, **LEGACY_REDUCE, "reduction": "none"}),
    *each("mse_loss l1_loss", input=X, target=Y, **LEGACY, reduction="sum", weight=P),
    ("smooth_l1_loss", {"input": X, "target": Y, **LEGACY, "reduction": "sum", "beta": 0.5}),
    ("huber_loss", {"input": X, "target": Y, "reduction": "sum", "delta": 0.5, "weight": P}),
    ("binary_cross_entropy", {"input": PROBABILITY, "target": PROBABILITY.T, "weight": P,
                              **LEGACY, "reduction": "sum"}),
    ("binary_cross_entropy_with_logits",
     {"input": X, "target": PROBABILITY, "weight": P, **LEGACY, "reduction": "sum",
      "pos_weight": CLASS_WEIGHTS}),
    ("kl_div", {"input": X, "target": Y, **LEGACY, "reduction": "sum", "log_target": True}),
]
"""Names of torch.nn.functional, with all the arguments that minigrad has."""


def of_torch(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return torch.tensor(value)
    if isinstance(value, list):
        return [of_torch(v) for v in value]
    return torch.float32 if value == "float32" else value


def of_minigrad(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return Tensor(value.copy())
    return [of_minigrad(v) for v in value] if isinstance(value, list) else value


def assert_alike(ours: Any, torchs: Any) -> None:
    for y, expected in zip(listed(ours), listed(torchs), strict=True):
        assert str(y.dtype) == str(expected.dtype).removeprefix("torch.")
        compare("the output", y.data, expected.numpy(),
                1e-6 if y.dtype == np.float32 else 1e-10)


def by_position(arguments: dict[str, Any]) -> list[tuple[list[Any], dict[str, Any]]]:
    """The first k arguments by position, the rest by name, for each k."""
    names = list(arguments)
    return [([arguments[name] for name in names[:k]], {name: arguments[name] for name in names[k:]})
            for k in range(len(names) + 1)]


def check(ours: Any, torchs: Any, arguments: dict[str, Any], least: int = 0) -> None:
    answered = 0
    for positional, named in by_position(arguments):
        if len(positional) < least:
            continue
        try:
            expected = torchs(*map(of_torch, positional),
                              **{name: of_torch(value) for name, value in named.items()})
        except TypeError:                               # torch wants the argument by name
            continue
        answered += 1
        assert_alike(ours(*map(of_minigrad, positional),
                          **{name: of_minigrad(value) for name, value in named.items()}), expected)
    assert answered, "torch takes the arguments neither way"


def cases(table: list[tuple[str, dict[str, Any]]]) -> Any:
    return pytest.mark.parametrize(("name", "arguments"), [
        pytest.param(name, arguments, id=f"{name}({', '.join(arguments)})")
        for name, arguments in table])


@cases(TENSORS)
def test_functions_take_torchs_arguments(name: str, arguments: dict[str, Any]) -> None:
    check(getattr(mg, name), getattr(torch, name), arguments)


@cases([(name, arguments) for name, arguments in [*TENSORS, *METHODS]
        if hasattr(torch.Tensor, name) and isinstance(next(iter(arguments.values())), np.ndarray)])
def test_methods_take_torchs_arguments(name: str, arguments: dict[str, Any]) -> None:
    if name == "where":                                 # the method's self is the input
        arguments = {key: arguments[key] for key in ("input", "condition", "other")
                     if len(arguments) == 3}
    ours, torchs = getattr(Tensor, name), getattr(torch.Tensor, name)
    if arguments:
        check(ours, torchs, arguments, least=1)


def test_transposed_is_an_attribute() -> None:
    np.testing.assert_array_equal(Tensor(X).T.data, X.T)


@cases(FUNCTIONAL)
def test_functional_takes_torchs_arguments(name: str, arguments: dict[str, Any]) -> None:
    check(getattr(mg.functional, name), getattr(torch.nn.functional, name), arguments)


@pytest.mark.parametrize(("equation", "operands"), [
    ("ij,jk->ik", [X, Y]), ("ii", [X]), ("...ij,...jk", [B, B]), ("i,j", [V, W])])
def test_einsum_takes_torchs_arguments(equation: str, operands: list[Any]) -> None:
    assert_alike(mg.einsum(equation, *map(of_minigrad, operands)),
                 torch.einsum(equation, *map(of_torch, operands)))


PROMISED = {
    mg: "tensor Tensor zeros ones full arange eye rand randn manual_seed no_grad enable_grad grad "
        "float32 float64 int64 bool add sub mul div neg exp log log1p sqrt rsqrt reciprocal square "
        "pow abs sign sin cos tan tanh sigmoid clamp maximum minimum where sum mean prod amax amin "
        "max min argmax argmin var std logsumexp softmax log_softmax matmul mm bmm dot einsum "
        "reshape permute transpose t squeeze unsqueeze broadcast_to cat stack split chunk "
        "index_select gather flip roll flatten tril triu cumsum",
    Tensor: "add sub mul div neg exp log log1p sqrt rsqrt reciprocal square pow abs sign sin cos "
            "tan tanh sigmoid clamp maximum minimum where sum mean prod amax amin max min argmax "
            "argmin var std logsumexp softmax log_softmax matmul mm bmm dot reshape view permute "
            "transpose t squeeze unsqueeze expand broadcast_to split chunk index_select gather "
            "flip roll flatten tril triu cumsum backward grad detach numpy item requires_grad_ "
            "register_hook",
    mg.functional: "pad relu leaky_relu gelu elu silu softplus hardtanh logsigmoid dropout linear "
                   "conv1d conv2d conv_transpose2d max_pool2d avg_pool2d adaptive_avg_pool2d "
                   "adaptive_max_pool2d batch_norm layer_norm group_norm instance_norm "
                   "local_response_norm embedding normalize cosine_similarity interpolate unfold "
                   "cross_entropy nll_loss mse_loss l1_loss smooth_l1_loss huber_loss "
                   "binary_cross_entropy binary_cross_entropy_with_logits kl_div",
    mg.nn: "Module Parameter Sequential ModuleList ModuleDict Linear Conv1d Conv2d ConvTranspose2d "
           "MaxPool2d AvgPool2d AdaptiveAvgPool2d AdaptiveMaxPool2d BatchNorm1d BatchNorm2d "
           "LayerNorm GroupNorm InstanceNorm2d LocalResponseNorm ReLU LeakyReLU GELU ELU SiLU "
           "Softplus Hardtanh LogSigmoid Sigmoid Tanh Softmax LogSoftmax Dropout Dropout2d Flatten "
           "Embedding CrossEntropyLoss NLLLoss MSELoss L1Loss SmoothL1Loss HuberLoss BCELoss "
           "BCEWithLogitsLoss KLDivLoss init utils",
    mg.optim: "SGD Adam AdamW RMSprop lr_scheduler",
    mg.optim.lr_scheduler: "StepLR CosineAnnealingLR OneCycleLR LambdaLR ReduceLROnPlateau",
}


@pytest.mark.parametrize("place", PROMISED, ids=lambda place: place.__name__)
def test_every_promised_name_is_there(place: Any) -> None:
    assert [name for name in PROMISED[place].split() if not hasattr(place, name)] == []
