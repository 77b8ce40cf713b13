"""Datasets and batches: against torch where torch does the same, else exact facts."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from minigrad import Tensor
from minigrad.data import ArrayDataset, DataLoader


class Squares:
    """A dataset that is no ArrayDataset: item i is (array, float, int)."""

    def __len__(self):
        return 7

    def __getitem__(self, i):
        return np.full((2, 3), i, np.float32), i**2 / 2, i


def rows(loader):
    return np.concatenate([batch[0] for batch in loader])


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
