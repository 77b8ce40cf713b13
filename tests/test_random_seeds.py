"""The seeds that `manual_seed` takes are those that torch takes."""

from __future__ import annotations

import pytest
import torch

import minigrad as mg


@pytest.mark.parametrize("seed", [0, -1, -2**63, 2**63, 2**64 - 1])
def test_a_seed_gives_torchs_numbers(seed: int) -> None:
    mg.manual_seed(seed)
    torch.manual_seed(seed)
    assert mg.rand(3).tolist() == torch.rand(3).tolist()


@pytest.mark.parametrize("seed", [-2**63 - 1, 2**64, 10**400])
def test_a_seed_out_of_range_is_refused_and_the_stream_goes_on(seed: int) -> None:
    with pytest.raises((ValueError, RuntimeError)):
        torch.manual_seed(seed)
    mg.manual_seed(3)
    with pytest.raises(ValueError, match=r"seed must be from -2\*\*63 to 2\*\*64 - 1"):
        mg.manual_seed(seed)
    torch.manual_seed(3)
    assert mg.rand(3).tolist() == torch.rand(3).tolist()
