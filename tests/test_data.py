"""Datasets, batches and transforms: against torch where torch does the same, else exact facts."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from minigrad import Tensor
from minigrad.data import ArrayDataset, DataLoader, transforms
from minigrad.kernels.warp import warp_affine


class Squares:
    """A dataset that is no ArrayDataset: item i is (array, float, int)."""

    def __len__(self):
        return 7

    def __getitem__(self, i):
        return np.full((2, 3), i, np.float32), i**2 / 2, i


def rows(loader):
    return np.concatenate([batch[0] for batch in loader])


def image_batch(n=3, channels=2, height=7, width=9, seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, channels, height, width)).astype(dtype)


# ---- datasets ------------------------------------------------------------------------------------

def test_array_dataset_items_are_rows():
    x, y = np.arange(6.0).reshape(3, 2), [7, 8, 9]
    dataset = ArrayDataset(x, y)
    assert len(dataset) == 3
    first, second = dataset[1]
    np.testing.assert_array_equal(first, x[1])
    assert second == 8
    assert dataset.arrays[0] is x


def test_array_dataset_takes_tensors():
    assert ArrayDataset(Tensor(np.ones((4, 2))), torch.ones(4))[2][1] == 1


@pytest.mark.parametrize(("arrays", "message"), [
    ((), "at least one array"),
    ((np.float32(1),), r"first dimension; got \(\)"),
    ((np.ones((3, 2)), np.ones(4)), r"differ in length; got \(3, 2\), \(4,\)"),
])
def test_array_dataset_refuses(arrays, message):
    with pytest.raises(ValueError, match=message):
        ArrayDataset(*arrays)


# ---- loader --------------------------------------------------------------------------------------

@given(n=st.integers(0, 30), batch_size=st.integers(1, 12), shuffle=st.booleans(),
       drop_last=st.booleans(), seed=st.integers(0, 2**40), epoch=st.integers(0, 5))
@settings(deadline=None)
def test_every_item_once_in_batches_as_torch_makes_them(n, batch_size, shuffle, drop_last, seed,
                                                        epoch):
    x = np.arange(n)
    loader = DataLoader(ArrayDataset(x, x * 10), batch_size, shuffle, seed=seed,
                        drop_last=drop_last)
    loader.set_epoch(epoch)
    batches = list(loader)
    expected = list(torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.arange(n)), batch_size, drop_last=drop_last))
    assert [len(b[0]) for b in batches] == [len(b[0]) for b in expected]
    assert len(loader) == len(batches)
    seen = np.concatenate([b[0] for b in batches]) if batches else x[:0]
    for a, b in batches:
        np.testing.assert_array_equal(b, a * 10)
    assert len(set(seen)) == len(seen)
    if not drop_last:
        np.testing.assert_array_equal(np.sort(seen), x)
    if not shuffle:
        np.testing.assert_array_equal(seen, x[:len(seen)])


def test_order_is_a_function_of_seed_and_epoch():
    def order(seed, epoch, batch_size=10):
        loader = DataLoader(ArrayDataset(np.arange(100)), batch_size, shuffle=True, seed=seed)
        loader.set_epoch(epoch)
        first = rows(loader)
        np.testing.assert_array_equal(first, rows(loader))      # iterating changes nothing
        return tuple(first)

    assert order(1, 2) == order(1, 2, batch_size=7)
    assert len({order(seed, epoch) for seed in range(4) for epoch in range(4)}) == 16


def test_transform_draws_from_seed_epoch_and_batch():
    def noise(x, rng):
        return rng.random(len(x))

    def draws(seed, epoch):
        loader = DataLoader(ArrayDataset(np.zeros(12), np.arange(12)), 4, seed=seed,
                            transform=noise)
        loader.set_epoch(epoch)
        return [tuple(x) for x, _ in loader]

    assert draws(3, 1) == draws(3, 1)
    every = [batch for seed in range(3) for epoch in range(3) for batch in draws(seed, epoch)]
    assert len(set(every)) == 27


def test_transform_does_not_draw_what_the_order_drew():
    drawn = []
    loader = DataLoader(ArrayDataset(np.arange(50)), 50, shuffle=True, seed=5,
                        transform=lambda x, rng: drawn.append(rng.permutation(50)) or x)
    assert not np.array_equal(rows(loader), drawn[0])


def test_batches_are_copies():
    x = np.zeros((4, 2))
    for (batch,) in DataLoader(ArrayDataset(x), 2):
        batch += 1
    assert not x.any()


def test_collation_equals_torch():
    ours = list(DataLoader(Squares(), 3))
    theirs = list(torch.utils.data.DataLoader(Squares(), 3))
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        for mine, other in zip(a, b, strict=True):
            np.testing.assert_array_equal(mine, other.numpy())
            assert mine.dtype == other.numpy().dtype


def test_items_that_are_no_tuple_make_batches_of_one_array():
    (batch,) = next(iter(DataLoader([np.ones(2), np.zeros(2)], 2)))
    assert batch.shape == (2, 2)


@pytest.mark.parametrize(("items", "error", "message"), [
    ([(1, 2), (1,)], ValueError, "have 1 to 2 parts"),
    ([np.ones(2), np.ones(3)], ValueError, r"part 0 .* got \(2,\) and \(3,\)"),
    (["a", "b"], TypeError, "part 0 of an item must be an array or a number"),
    ([(1, {}), (1, {})], TypeError, "part 1 of an item must be an array or a number"),
])
def test_collation_refuses(items, error, message):
    with pytest.raises(error, match=message):
        list(DataLoader(items, 2))


@pytest.mark.parametrize("value", [0, -3])
def test_batch_size_must_be_positive(value):
    with pytest.raises(ValueError, match=f"batch_size must be at least 1; got {value}"):
        DataLoader(Squares(), value)


@pytest.mark.parametrize("value", [2.0, True, None, "3"])
def test_batch_size_must_be_an_integer(value):
    with pytest.raises(TypeError, match="batch_size must be an int; got"):
        DataLoader(Squares(), value)


def test_seed_and_epoch_must_not_be_negative():
    with pytest.raises(ValueError, match="seed must be at least 0; got -1"):
        DataLoader(Squares(), seed=-1)
    with pytest.raises(ValueError, match="epoch must be at least 0; got -1"):
        DataLoader(Squares()).set_epoch(-1)


# ---- transforms ----------------------------------------------------------------------------------

EVERY = [
    transforms.Normalize([0.5, -1], [2, 0.25]), transforms.RandomShift(3),
    transforms.RandomHorizontalFlip(), transforms.RandomAffine(20, (0.1, 0.2), (0.8, 1.3), 10),
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
    x = image_batch(dtype=np.float64)
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


WARPS = pytest.mark.parametrize("warp", [warp_affine, warp_affine.twin], ids=["kernel", "twin"])


@WARPS
@given(n=st.integers(1, 3), channels=st.integers(1, 3), height=st.integers(1, 9),
       width=st.integers(1, 9), seed=st.integers(0, 10**6),
       reach=st.sampled_from([0.2, 1.0, 5.0]))
@settings(deadline=None)
def test_warp_equals_torch(warp, n, channels, height, width, seed, reach):
    x = image_batch(n, channels, height, width, seed, np.float64)
    matrices = np.random.default_rng(seed + 1).normal(0, reach, (n, 2, 3))
    matrices[:, :, :2] += np.eye(2)
    matrices[:, :, 2] *= (width, height)
    half = np.array([width / 2, height / 2, 1])                 # torch's x and y run from -1 to 1
    theta = torch.tensor(matrices * half / half[:2, None])
    grid = torch.nn.functional.affine_grid(theta, list(x.shape), align_corners=False)
    expected = torch.nn.functional.grid_sample(torch.tensor(x), grid, "bilinear", "zeros",
                                               align_corners=False)
    # a weight of a far place is a small difference of large coordinates
    y = np.full_like(x, np.nan)
    warp(x, matrices, y)
    np.testing.assert_allclose(y, expected.numpy(), atol=1e-9)


@WARPS
def test_warp_of_the_identity_is_exact(warp):
    x = image_batch()
    y = np.full_like(x, np.nan)
    warp(x, np.tile(np.eye(2, 3, dtype=np.float32), (len(x), 1, 1)), y)
    np.testing.assert_array_equal(y, x)


def test_affine_turns_anticlockwise():
    x = image_batch(height=8, width=8, dtype=np.float64)
    y = transforms.RandomAffine(degrees=(90, 90))(x, np.random.default_rng(0))
    np.testing.assert_allclose(y, np.rot90(x, axes=(2, 3)), atol=1e-12)


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


@pytest.mark.parametrize(("make", "message"), [
    (lambda: transforms.Normalize(0, 0), "std must be positive; got 0"),
    (lambda: transforms.RandomShift(-1), "pixels must not be negative; got -1"),
    (lambda: transforms.RandomHorizontalFlip(1.5), r"p must be in \[0, 1\]; got 1.5"),
    (lambda: transforms.RandomAffine(-5), "degrees must be .* got -5"),
    (lambda: transforms.RandomAffine(scale=(0, 1)), r"scale must be positive; got \(0, 1\)"),
    (lambda: transforms.RandomAffine(scale=(2, 1)), r"scale must be .* got \(2, 1\)"),
    (lambda: transforms.RandomAffine(shear=90), "shear must be below 90 degrees; got 90"),
    (lambda: transforms.RandomAffine(translate=(-1, 0)), r"translate must be .* got \(-1, 0\)"),
    (lambda: transforms.Normalize([0, 0, 0], 1)(image_batch(), np.random.default_rng()),
     r"mean has 3 channels but x has 2; got x \(3, 2, 7, 9\)"),
])
def test_transforms_refuse(make, message):
    with pytest.raises(ValueError, match=message):
        make()
