"""Transforms of batches: against torch or torchvision at the chance drawn, else exact facts."""

import inspect
import math

import numpy as np
import pytest
import scipy.ndimage
import torch
import torchvision.transforms.v2
import torchvision.transforms.v2.functional as v2
from hypothesis import given, settings, strategies as st
from scipy import stats

from minigrad.data import transforms
from minigrad.kernels.warp import warp


def image_batch(n=3, channels=3, height=7, width=9, seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, channels, height, width)).astype(dtype)


EVERY = [
    transforms.Normalize([0.5, -1, 0], [2, 0.25, 1]), transforms.RandomShift(3),
    transforms.RandomHorizontalFlip(), transforms.RandomAffine(20, (0.1, 0.2), (0.8, 1.3), 10),
    transforms.ColorJitter(0.4, (0.5, 2)), transforms.GaussianNoise(0.1, 0.2, clip=False),
    transforms.RandomErasing(0.8), transforms.RandomErasing(value="random"),
    transforms.RandomErasing(value="mean"), transforms.ElasticTransform(),
    transforms.Compose([transforms.RandomShift(1), transforms.RandomHorizontalFlip(0.3)]),
]


@pytest.mark.parametrize("transform", EVERY, ids=lambda t: type(t).__name__)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_transforms_keep_shape_and_dtype_and_their_input(transform, dtype):
    x = image_batch(dtype=dtype)
    x.flags.writeable = False
    y = transform(x, np.random.default_rng(1))
    assert y.shape == x.shape
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(y, transform(x, np.random.default_rng(1)))
    assert transform(x[:0], np.random.default_rng(1)).shape == (0, *x.shape[1:])


@pytest.mark.parametrize("transform", EVERY, ids=lambda t: type(t).__name__)
@pytest.mark.parametrize("x", [np.zeros((3, 4, 4), np.float32), np.zeros((1, 2, 4, 4), np.uint8)])
def test_transforms_want_a_float_batch(transform, x):
    with pytest.raises(ValueError, match=r"must be a float batch \(N, C, H, W\); got"):
        transform(x, np.random.default_rng(0))


def test_normalize():
    x = image_batch(channels=2, dtype=np.float64)
    y = transforms.Normalize([0.5, -1], [2, 0.25])(x, np.random.default_rng(0))
    np.testing.assert_allclose(y[:, 0] * 2 + 0.5, x[:, 0], rtol=1e-14)
    np.testing.assert_allclose(y[:, 1] * 0.25 - 1, x[:, 1], rtol=1e-14, atol=1e-15)
    one = transforms.Normalize(0.5, 2)(x, np.random.default_rng(0))
    np.testing.assert_allclose(one, (x - 0.5) / 2, rtol=1e-14)


def test_shift_moves_whole_images_and_fills_with_zeros():
    x = np.zeros((400, 2, 9, 9), np.float32)
    x[:, 0, 4, 4], x[:, 1, 3, 4] = 1, 2
    y = transforms.RandomShift(2)(x, np.random.default_rng(0))
    _, i, j = np.nonzero(y[:, 0])
    assert len(i) == 400
    assert set(zip(i - 4, j - 4, strict=True)) == {(a, b) for a in range(-2, 3)
                                                   for b in range(-2, 3)}
    np.testing.assert_array_equal(np.nonzero(y[:, 1]), [np.arange(400), i - 1, j])
    corner = transforms.RandomShift(9)(np.ones((50, 1, 4, 4), np.float32), np.random.default_rng(0))
    assert set(np.unique(corner)) == {0, 1}
    np.testing.assert_array_equal(transforms.RandomShift(0)(x, np.random.default_rng(0)), x)


def test_flip_mirrors_about_p_of_the_images():
    x = image_batch(1000, 1, 2, 3)
    y = transforms.RandomHorizontalFlip(0.3)(x, np.random.default_rng(0))
    flipped = (y == x[..., ::-1]).all((1, 2, 3))
    np.testing.assert_array_equal(y[~flipped], x[~flipped])
    assert 0.25 < flipped.mean() < 0.35
    for p in (0, 1):
        y = transforms.RandomHorizontalFlip(p)(x, np.random.default_rng(0))
        np.testing.assert_array_equal(y, x[..., ::-1] if p else x)


WARPS = pytest.mark.parametrize("warp", [warp, warp.twin], ids=["kernel", "twin"])


@WARPS
@given(n=st.integers(1, 3), channels=st.integers(1, 3), height=st.integers(1, 9),
       width=st.integers(1, 9), seed=st.integers(0, 10**6),
       reach=st.sampled_from([0.2, 1.0, 5.0]), padding_mode=st.sampled_from(["zeros", "border"]),
       moving=st.booleans())
@settings(deadline=None)
def test_warp_equals_torch(warp, n, channels, height, width, seed, reach, padding_mode, moving):
    x = image_batch(n, channels, height, width, seed, np.float64)
    matrices = np.random.default_rng(seed + 1).normal(0, reach, (n, 2, 3))
    matrices[:, :, :2] += np.eye(2)
    matrices[:, :, 2] *= (width, height)
    half = np.array([width / 2, height / 2, 1])                 # torch's x and y run from -1 to 1
    theta = torch.tensor(matrices * half / half[:2, None])
    grid = torch.nn.functional.affine_grid(theta, list(x.shape), align_corners=False)
    moves = np.random.default_rng(seed + 2).normal(0, reach, (n * moving, 2, height, width))
    if moving:
        grid += torch.tensor(moves.transpose(0, 2, 3, 1) / half[:2])
    expected = torch.nn.functional.grid_sample(torch.tensor(x), grid, "bilinear",
                                               padding_mode, align_corners=False)
    # a weight of a far place is a small difference of large coordinates
    y = np.full_like(x, np.nan)
    warp(x, matrices, moves, int(padding_mode == "zeros"), y)
    np.testing.assert_allclose(y, expected.numpy(), atol=1e-9)


@WARPS
def test_warp_of_the_identity_is_exact(warp):
    x = image_batch()
    y = np.full_like(x, np.nan)
    nowhere = np.empty((0, 2, *x.shape[2:]), np.float32)
    warp(x, np.tile(np.eye(2, 3, dtype=np.float32), (len(x), 1, 1)), nowhere, 1, y)
    np.testing.assert_array_equal(y, x)


def test_elastic_moves_are_blurred_noise():
    transform, rng = transforms.ElasticTransform(alpha=3, sigma=1.5), np.random.default_rng(0)
    rows, columns = transform.blur(9), transform.blur(14)
    noise = 2 * np.random.default_rng(0).random((5, 2, 9, 14), np.float32) - 1
    # another Gaussian blur, of an image that is surrounded by nothing, and its own sum of weights
    blurred, weight = (scipy.ndimage.gaussian_filter(
        image.astype(float), 1.5, axes=(-2, -1), mode="constant", truncate=20)
        for image in (noise, np.ones((9, 14))))
    found = transform.moves(5, (9, 14), rng)
    np.testing.assert_allclose(found, 3 * blurred / weight, atol=1e-5)
    np.testing.assert_allclose(rows.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(columns.sum(1), 1, atol=1e-6)


def test_elastic_images_show_what_was_there():
    x = np.broadcast_to(np.arange(30.0), (4, 1, 20, 30)).copy()     # each pixel tells its column
    transform = transforms.ElasticTransform(20, 3, padding_mode="border")
    y = transform(x, np.random.default_rng(3))
    moved = transform.moves(4, (20, 30), np.random.default_rng(3))[:, 0]
    np.testing.assert_allclose(y[:, 0], np.clip(np.arange(30) + moved, 0, 29), atol=1e-4)
    assert np.abs(moved).mean() > 0.3
    np.testing.assert_array_equal(transforms.ElasticTransform(0)(x, np.random.default_rng(3)), x)


def test_affine_turns_anticlockwise():
    x = image_batch(height=8, width=8, dtype=np.float64)
    y = transforms.RandomAffine(degrees=(90, 90))(x, np.random.default_rng(0))
    np.testing.assert_allclose(y, np.rot90(x, axes=(2, 3)), atol=1e-12)


@pytest.mark.parametrize(("padding_mode", "outside"), [("zeros", 0.0), ("border", 0.7)])
def test_what_lies_outside_is_black_or_goes_on(padding_mode, outside):
    x = np.full((2, 1, 8, 8), 0.7)
    y = transforms.RandomAffine(scale=(0.5, 0.5), padding_mode=padding_mode)(
        x, np.random.default_rng(0))
    np.testing.assert_allclose(y[:, :, 0], outside)
    np.testing.assert_allclose(y[:, :, 3:5, 3:5], 0.7)


def test_affine_scales_about_the_centre():
    x = image_batch(height=7, width=7, dtype=np.float64)
    y = transforms.RandomAffine(scale=(3, 3))(x, np.random.default_rng(0))
    np.testing.assert_allclose(y[:, :, ::3, ::3], x[:, :, 2:5, 2:5], atol=1e-12)


def test_affine_shears_rows_along_x():
    x = np.zeros((1, 1, 5, 9))
    x[0, 0, :, 4] = 1
    y = transforms.RandomAffine(shear=(45, 45))(x, np.random.default_rng(0))
    np.testing.assert_allclose(y[0, 0], np.eye(5, 9, 2), atol=1e-12)


def test_affine_moves_within_its_range():
    x = np.zeros((500, 1, 40, 20))
    x[:, :, 20, 10] = 1
    y = transforms.RandomAffine(translate=(0.2, 0.1))(x, np.random.default_rng(0))[:, 0]
    np.testing.assert_allclose(y.sum((1, 2)), 1, atol=1e-9)
    dx = (y.sum(1) * np.arange(20)).sum(1) - 10
    dy = (y.sum(2) * np.arange(40)).sum(1) - 20
    assert 3.8 < np.abs(dx).max() <= 4
    assert 3.8 < np.abs(dy).max() <= 4
    assert abs(dx.mean()) < 0.4
    assert abs(np.corrcoef(dx, dy)[0, 1]) < 0.15


@given(seed=st.integers(0, 10**6))
@settings(deadline=None)
def test_affine_matrices_invert_the_documented_map(seed):
    transform = transforms.RandomAffine(60, (0.2, 0.3), (0.5, 2), 40)
    m = transform.matrices(5, (10, 20), np.random.default_rng(seed))
    forward = np.linalg.inv(m[:, :, :2])
    move = -(forward @ m[:, :, 2:])[:, :, 0]
    assert (np.abs(move) <= (0.2 * 20 + 1e-9, 0.3 * 10 + 1e-9)).all()
    scale = np.sqrt(np.linalg.det(forward))
    assert ((scale > 0.5 - 1e-9) & (scale < 2 + 1e-9)).all()
    first = forward[:, :, 0] / scale[:, None]                   # R's first column: cos θ, -sin θ
    np.testing.assert_allclose((first**2).sum(1), 1, atol=1e-9)
    assert (np.abs(np.rad2deg(np.arctan2(-first[:, 1], first[:, 0]))) <= 60 + 1e-6).all()
    tan = (forward[:, :, 1] / scale[:, None] * first).sum(1)    # K's corner
    assert (np.abs(np.rad2deg(np.arctan(tan))) <= 40 + 1e-6).all()


# ---- colour and noise ----------------------------------------------------------------------------

@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(brightness=st.floats(0, 3), contrast=st.floats(0, 3), seed=st.integers(0, 10**6))
@settings(deadline=None)
def test_jitter_is_torchs_brightness_then_its_contrast(channels, dtype, brightness, contrast, seed):
    x = np.random.default_rng(seed).random((3, channels, 5, 4)).astype(dtype)
    jitter = transforms.ColorJitter((brightness, brightness), (contrast, contrast))
    expected = v2.adjust_contrast(v2.adjust_brightness(torch.tensor(x), brightness), contrast)
    np.testing.assert_allclose(jitter(x, np.random.default_rng(0)), expected.numpy(), rtol=0,
                               atol=20 * np.finfo(dtype).eps)


def test_jitter_of_one_only():
    x = np.random.default_rng(0).random((3, 3, 5, 4)) * 1.2         # torch clips where it acts
    for factor in (0.7, 1.6):
        for name, adjust in (("brightness", v2.adjust_brightness),
                             ("contrast", v2.adjust_contrast)):
            jitter = transforms.ColorJitter(**{name: (factor, factor)})
            np.testing.assert_allclose(jitter(x, np.random.default_rng(0)),
                                       adjust(torch.tensor(x), factor).numpy(), atol=1e-15)
    np.testing.assert_array_equal(transforms.ColorJitter()(x, np.random.default_rng(0)), x)


@pytest.mark.parametrize(("given", "low", "high"), [(0.4, 0.6, 1.4), (3, 0, 4), ((2, 3), 2, 3)])
def test_each_image_has_factors_of_its_own(given, low, high):
    x = np.full((4000, 1, 1, 2), 0.10)
    x[..., 1] = 0.12                                    # little contrast: nothing is clipped
    drawn = {}
    for name in ("brightness", "contrast"):
        y = transforms.ColorJitter(**{name: given})(x, np.random.default_rng(0))[:, 0, 0]
        drawn[name] = (y[:, 1] - y[:, 0]) / 0.02
        assert stats.kstest(drawn[name], stats.uniform(low, high - low).cdf).pvalue > 0.01
    both = transforms.ColorJitter(given, given)(x, np.random.default_rng(0))[:, 0, 0]
    brightness = both.mean(1) / 0.11
    contrast = (both[:, 1] - both[:, 0]) / 0.02 / brightness
    assert abs(np.corrcoef(brightness, contrast)[0, 1]) < 0.05


def test_noise_is_normal_and_of_each_value_its_own():
    x = np.full((20, 3, 30, 40), 0.5)
    y = transforms.GaussianNoise(0.2, 3.0, clip=False)(x, np.random.default_rng(0))
    noise = ((y - x - 0.2) / 3).reshape(20, -1)
    assert stats.kstest(noise.ravel(), "norm").pvalue > 0.01
    np.testing.assert_allclose(np.corrcoef(noise), np.eye(20), atol=0.1)
    clipped = transforms.GaussianNoise(0.2, 3.0)(x, np.random.default_rng(0))
    np.testing.assert_array_equal(clipped, np.clip(y, 0, 1))


def test_noise_without_chance_is_torchs():
    x = image_batch(channels=2)
    for clip in (True, False):
        y = transforms.GaussianNoise(0.3, 0, clip)(x, np.random.default_rng(0))
        expected = v2.gaussian_noise(torch.tensor(x), 0.3, 0.0, clip)
        np.testing.assert_array_equal(y, expected.numpy())
    default = inspect.signature(torchvision.transforms.v2.GaussianNoise).parameters
    assert {n: p.default for n, p in default.items()} == {
        n: p.default for n, p in inspect.signature(transforms.GaussianNoise).parameters.items()}


# ---- erasing -------------------------------------------------------------------------------------

def rectangle(image):
    """(top, left, height, width) around what is not 0 in (H, W)."""
    rows, columns = (np.flatnonzero(image.any(axis)) for axis in (1, 0))
    return rows[0], columns[0], np.ptp(rows) + 1, np.ptp(columns) + 1


@pytest.mark.parametrize("value", [0.0, -2, "mean", "random"])
def test_erasing_is_torchs_erase_of_one_rectangle(value):
    x = image_batch(200, 3, 12, 17, dtype=np.float64)
    y = transforms.RandomErasing(0.6, value=value)(x, np.random.default_rng(0))
    changed = (y != x).any(1)
    erased = changed.any((1, 2))
    assert 0.5 < erased.mean() < 0.7
    for before, after, where in zip(x[erased], y[erased], changed[erased], strict=True):
        i, j, h, w = rectangle(where)
        v = {"mean": before.mean((1, 2))[:, None, None],
             "random": after[:, i:i + h, j:j + w]}.get(value, np.full((3, 1, 1), value))
        expected = v2.erase(torch.tensor(before), i, j, h, w, torch.tensor(v))
        np.testing.assert_allclose(after, expected.numpy(), rtol=1e-14)


def test_erasing_with_random_paints_normal_noise():
    x = np.full((300, 2, 20, 20), 100.0)
    y = transforms.RandomErasing(1.0, value="random")(x, np.random.default_rng(0))
    painted = y[y < 50]
    assert len(painted) > 10_000
    assert stats.kstest(painted, "norm").pvalue > 0.01


@pytest.mark.parametrize("options", [{}, {"scale": (0.1, 0.9), "ratio": (0.5, 4.0)}])
def test_rectangles_are_drawn_as_torch_draws_them(options):
    torch.manual_seed(0)
    theirs = torchvision.transforms.v2.RandomErasing(p=1.0, **options)
    image = torch.zeros(1, 24, 36)
    drawn = [theirs.make_params([image]) for _ in range(3000)]
    expected = np.array([[each[key] if each["v"] is not None else 0 for key in "ijhw"]
                         for each in drawn])
    ours = transforms.RandomErasing(1.0, **options).boxes(3000, (24, 36), np.random.default_rng(0))
    ours, expected = (boxes[boxes[:, 2] > 0] for boxes in (ours, expected))
    assert abs(len(ours) - len(expected)) < 50
    assert (ours[:, 0] + ours[:, 2]).max() == 24                    # the whole image is in reach
    assert (ours[:, 1] + ours[:, 3]).max() == 36
    for column in range(4):
        assert stats.ks_2samp(ours[:, column], expected[:, column]).pvalue > 0.01
    # no image's rectangle tells where the next one's is
    assert abs(np.corrcoef(ours[1:, 0], ours[:-1, 0])[0, 1]) < 0.06


def test_a_square_of_a_quarter():
    quarter = transforms.RandomErasing(1.0, (0.25, 0.25), (1, 1), value=7)
    boxes = quarter.boxes(500, (8, 8), np.random.default_rng(0))
    np.testing.assert_array_equal(boxes[:, 2:], 4)
    assert {tuple(place) for place in boxes[:, :2]} == {(i, j) for i in range(5) for j in range(5)}
    y = quarter(np.zeros((50, 2, 8, 8), np.float32), np.random.default_rng(0))
    np.testing.assert_array_equal((y == 7).sum((2, 3)), 16)


def test_what_would_cover_the_image_leaves_it_as_it_is():
    x = image_batch(20)
    for options in ({"p": 0.0}, {"p": 1.0, "scale": (1, 1)}, {"p": 1.0, "scale": (0, 0)}):
        y = transforms.RandomErasing(**options)(x, np.random.default_rng(0))
        np.testing.assert_array_equal(y, x)
        assert y is not x


def test_defaults_are_torchs():
    expected = inspect.signature(torchvision.transforms.v2.RandomErasing).parameters
    for name, parameter in inspect.signature(transforms.RandomErasing).parameters.items():
        assert parameter.default == expected[name].default


@pytest.mark.parametrize(("make", "message"), [
    (lambda: transforms.Normalize(0, 0), "std must be positive; got 0"),
    (lambda: transforms.RandomShift(-1), "pixels must not be negative; got -1"),
    (lambda: transforms.RandomHorizontalFlip(1.5), r"p must be in \[0, 1\]; got 1.5"),
    (lambda: transforms.RandomAffine(-5), "degrees must be .* got -5"),
    (lambda: transforms.RandomAffine(scale=(0, 1)), r"scale must be positive; got \(0, 1\)"),
    (lambda: transforms.RandomAffine(scale=(2, 1)), r"scale must be .* got \(2, 1\)"),
    (lambda: transforms.RandomAffine(padding_mode="reflection"),
     "padding_mode must be 'zeros' or 'border'; got 'reflection'"),
    (lambda: transforms.RandomAffine(shear=90), "shear must be below 90 degrees; got 90"),
    (lambda: transforms.RandomAffine(translate=(-1, 0)), r"translate must be .* got \(-1, 0\)"),
    (lambda: transforms.ElasticTransform(-1), "alpha must be finite and not negative; got -1"),
    (lambda: transforms.ElasticTransform(sigma=0), "sigma must be finite and positive; got 0"),
    (lambda: transforms.ElasticTransform(padding_mode="wrap"),
     "padding_mode must be .* got 'wrap'"),
    (lambda: transforms.ColorJitter(-0.1), r"brightness must be .* got -0.1"),
    (lambda: transforms.ColorJitter((-1, 1)), r"brightness must be .* got \(-1, 1\)"),
    (lambda: transforms.ColorJitter(contrast=(2, 1)), r"contrast must be .* got \(2, 1\)"),
    (lambda: transforms.ColorJitter(contrast="much"), "contrast must be .* got much"),
    (lambda: transforms.ColorJitter(math.nan), "brightness must be .* got nan"),
    (lambda: transforms.ColorJitter(math.inf), "brightness must be .* got inf"),
    (lambda: transforms.ColorJitter(1)(image_batch(channels=2), np.random.default_rng()),
     r"x must have 1 or 3 channels; got x \(3, 2, 7, 9\)"),
    (lambda: transforms.GaussianNoise(sigma=-1), "sigma must be .* got -1"),
    (lambda: transforms.GaussianNoise(sigma=math.nan), "sigma must be .* got nan"),
    (lambda: transforms.GaussianNoise(math.inf), "mean must be finite; got inf"),
    (lambda: transforms.RandomErasing(-1), r"p must be in \[0, 1\]; got -1"),
    (lambda: transforms.RandomErasing(scale=(0.5, 1.5)), r"scale must be .* in \[0, 1\]; got"),
    (lambda: transforms.RandomErasing(scale=0.2), r"scale must be \(low, high\) .* got 0.2"),
    (lambda: transforms.RandomErasing(scale=(0.3, 0.2)), r"scale must be .* got \(0.3, 0.2\)"),
    (lambda: transforms.RandomErasing(ratio=(3, 1)), r"ratio must be .* got \(3, 1\)"),
    (lambda: transforms.RandomErasing(ratio=(0, 1)), r"ratio must be positive; got \(0, 1\)"),
    (lambda: transforms.RandomErasing(value="black"), "value must be a number, .* got 'black'"),
    (lambda: transforms.RandomErasing(value=(1, 2, 3)), r"value must be .* got \(1, 2, 3\)"),
    (lambda: transforms.Normalize([0, 0], 1)(image_batch(), np.random.default_rng()),
     r"mean has 2 channels but x has 3; got x \(3, 3, 7, 9\)"),
])
def test_transforms_refuse(make, message):
    with pytest.raises(ValueError, match=message):
        make()
