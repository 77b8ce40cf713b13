"""The models: their sizes, and that both implementations are one and the same network."""

import ast
import inspect

import numpy as np
import pytest
import torch
from scipy import ndimage

import minigrad as mg
import minigrad.models
import torch_impl.models
from minigrad.nn import Module

MODULES = ("linear", "mlp", "cnn", "dexpression", "__init__")

# name: (constructor's arguments, an input's shape without the batch)
MODELS = {
    "regression": ("LinearRegression", (3, 2), (3,)),
    "logistic": ("LogisticRegression", (8,), (8,)),
    "mlp": ("MLP", ((16, 12, 5),), (4, 4)),
    "mlp with norm": ("MLP", ((16, 12, 5), (0.0, 0.0), True), (4, 4)),
    "cnn": ("CNN", (10,), (1, 28, 28)),
    "dexpression": ("DeXpression", (7, 48), (1, 48, 48)),
    "compact": ("DeXpression", (7, 48, "compact"), (1, 48, 48)),
}


def pair(name):
    """The model of both implementations, with equal weights."""
    constructor, args, _ = MODELS[name]
    mg.manual_seed(3)
    torch.manual_seed(3)
    return (getattr(minigrad.models, constructor)(*args),
            getattr(torch_impl.models, constructor)(*args))


def body(module):
    """A module's code without its imports."""
    tree = ast.parse(inspect.getsource(module))
    tree.body = [node for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom)]
    return ast.dump(tree)


@pytest.mark.parametrize("name", MODULES)
def test_bodies_are_identical(name):
    ours = getattr(minigrad.models, name) if name != "__init__" else minigrad.models
    theirs = getattr(torch_impl.models, name) if name != "__init__" else torch_impl.models
    assert body(ours) == body(theirs)


@pytest.mark.parametrize("name", MODELS)
def test_equal_seeds_give_equal_models(name):
    ours, theirs = pair(name)
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    for key, value in ours.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), state[key].numpy(), err_msg=key)


def test_equal_seeds_give_equal_models_at_full_size():
    for args in ((), (7, 64, "compact", 3)):
        mg.manual_seed(11)
        torch.manual_seed(11)
        ours = minigrad.models.DeXpression(*args).state_dict()
        for key, value in torch_impl.models.DeXpression(*args).state_dict().items():
            np.testing.assert_array_equal(ours[key].numpy(), value.numpy(), err_msg=key)


@pytest.mark.parametrize("name", MODELS)
def test_outputs_and_gradients_are_torchs(name):
    ours, theirs = pair(name)
    ours.double(), theirs.double()
    rng = np.random.default_rng(5)
    x = rng.standard_normal((3, *MODELS[name][2]))
    a, b = ours(mg.tensor(x)), theirs(torch.tensor(x))
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-11, atol=1e-11)
    g = rng.standard_normal(a.shape)
    a.backward(g)
    b.backward(torch.tensor(g))
    for (key, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        scale = q.grad.abs().max().item()
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=0, atol=1e-10 * scale,
                                   err_msg=key)


# the table of the paper at 224 px: the path of a module and the size of its output
PAPER = [
    ("features.0", (64, 112, 112)), ("features.1", (64, 56, 56)), ("features.2", (64, 56, 56)),
    ("features.3.a", (96, 56, 56)), ("features.3.b", (208, 56, 56)),
    ("features.3.pool", (64, 56, 56)), ("features.3.c", (64, 56, 56)),
    ("features.3", (272, 56, 56)),
    ("features.4", (272, 28, 28)), ("features.5.a", (96, 28, 28)), ("features.5.b", (208, 28, 28)),
    ("features.5.pool", (272, 28, 28)), ("features.5.c", (64, 28, 28)),
    ("features.5", (272, 28, 28)), ("features.6", (272, 14, 14)), ("classifier", (7,)),
]
PAPER_PARAMETERS = {"features.0": 3200, "features.3.a": 6240, "features.3.b": 179920,
                    "features.3.c": 4160, "features.5.a": 26208, "features.5.b": 179920,
                    "features.5.c": 17472, "classifier": 373191}


def output_sizes(model: Module, size: int, channels: int = 1):
    sizes = {}
    for name, module in model.named_modules():
        module.register_forward_hook(lambda m, x, y, name=name: sizes.update({name: y.shape[1:]}))
    with mg.no_grad():
        model.eval()(mg.zeros(1, channels, size, size))
    return sizes


def count(module: Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_dexpression_is_the_papers_table():
    model = minigrad.models.DeXpression()
    modules = dict(model.named_modules())
    assert count(model) == 790_311
    assert {name: count(modules[name]) for name in PAPER_PARAMETERS} == PAPER_PARAMETERS
    sizes = output_sizes(model, 224)
    assert [(name, sizes[name]) for name, _ in PAPER] == PAPER
    lrn = modules["features.2"]
    assert (lrn.size, lrn.alpha, lrn.beta, lrn.k) == (5, 1e-4, 0.75, 1)


@pytest.mark.parametrize("variant", ["paper", "compact"])
@pytest.mark.parametrize("size", [16, 17, 31, 33, 48, 63, 65, 96])
def test_dexpression_takes_any_size(variant, size):
    model = minigrad.models.DeXpression(5, size, variant, in_channels=3)
    assert output_sizes(model, size, 3)[""] == (5,)


@pytest.mark.parametrize("window", [3, 13])
def test_local_contrast_is_its_formula(window):
    x = np.random.default_rng(window).random((2, 3, 17, 20))
    square = np.ones((1, 1, window, window))

    def box(a):
        total, count = (ndimage.convolve(v, square, mode="constant") for v in (a, np.ones_like(a)))
        return total / count

    d = x - box(x)
    sigma = np.sqrt(box(d * d) + 1e-6)
    expected = d / np.maximum(sigma, sigma.mean((2, 3), keepdims=True))
    layer = minigrad.models.dexpression.LocalContrast(window)
    np.testing.assert_allclose(layer(mg.Tensor(x)).numpy(), expected, rtol=1e-9)


def test_local_contrast_does_not_see_the_light():
    x = np.random.default_rng(0).random((2, 1, 24, 24))
    layer = minigrad.models.dexpression.LocalContrast(7)
    seen = layer(mg.Tensor(x)).numpy()
    np.testing.assert_allclose(layer(mg.Tensor(0.4 * x + 0.3)).numpy(), seen, atol=1e-3)
    assert np.abs(seen).max() > 1


def test_local_contrast_of_an_even_image_is_nothing():
    x = mg.full((1, 1, 16, 16), 0.3, requires_grad=True)
    y = minigrad.models.dexpression.LocalContrast(5)(x)
    y.sum().backward()
    np.testing.assert_allclose(y.detach().numpy(), 0, atol=1e-3)
    assert np.isfinite(x.grad.numpy()).all()


def multiplications(model, size):
    """Multiply-adds of one image: weights times output positions."""
    sizes = output_sizes(model, size)
    return sum(module.weight.numel() * int(np.prod(sizes[name][1:]))
               for name, module in model.named_modules()
               if isinstance(module, mg.nn.Conv2d | mg.nn.Linear))


def test_costs_are_as_documented():
    paper = minigrad.models.DeXpression()
    assert round(multiplications(paper, 224) / 1e6) == 810
    compact = minigrad.models.DeXpression(size=48, variant="compact")
    assert round(multiplications(compact, 48) / 1e6) == 21
    assert round(count(compact), -3) == 262_000


def test_sizes_of_the_small_models():
    assert count(minigrad.models.LinearRegression()) == 2
    assert count(minigrad.models.LogisticRegression()) == 9
    assert count(minigrad.models.MLP()) == 784 * 500 + 500 + 500 * 10 + 10
    assert count(minigrad.models.CNN()) == 320 + 18496 + 3136 * 128 + 128 + 1290


@pytest.mark.parametrize("args", [(7, 48, "huge"), (7, 15), (7, 15, "compact")])
def test_dexpression_errors(args):
    for package in (minigrad.models, torch_impl.models):
        with pytest.raises(ValueError, match="DeXpression"):
            package.DeXpression(*args)
