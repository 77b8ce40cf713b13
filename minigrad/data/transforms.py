"""Augmentation of whole batches. All chance comes from the `rng` that the DataLoader hands in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigrad.autograd import Array
from minigrad.data.loader import Transform
from minigrad.kernels.warp import warp_affine

Range = float | tuple[float, float]


class Compose:
    """Apply transforms one after the other, all drawing from the same rng."""

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = tuple(transforms)

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        for transform in self.transforms:
            x = transform(x, rng)
        return x


class Normalize:
    """Standardise each channel.  y = (x - mean) / std

    **Shapes** x (N, C, H, W); mean and std are numbers or sequences of C.
    **Raises** ValueError if a std is not positive, or x has another number of channels.
    **Source** torchvision.transforms.Normalize.
    """

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        self.mean, self.std = np.atleast_1d(mean), np.atleast_1d(std)
        if not (self.std > 0).all():
            raise ValueError(f"Normalize: std must be positive; got {std}")

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        _check("Normalize", x)
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, x.shape[1]):
                raise ValueError(f"Normalize: {name} has {len(values)} channels but x has "
                                 f"{x.shape[1]}; got x {x.shape}")
        mean, std = (v.astype(x.dtype)[:, None, None] for v in (self.mean, self.std))
        return np.asarray((x - mean) / std)


class RandomHorizontalFlip:
    """Mirror each image left to right with probability p.

    **Shapes** x (N, C, H, W) → the same.
    **Raises** ValueError if p is not in [0, 1].
    **Source** torchvision.transforms.RandomHorizontalFlip.
    """

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"RandomHorizontalFlip: p must be in [0, 1]; got {p}")
        self.p = p

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        _check("RandomHorizontalFlip", x)
        flip = rng.random(len(x)) < self.p
        return np.where(flip[:, None, None, None], x[..., ::-1], x)


class RandomShift:
    """Move each image by whole pixels, up to `pixels` each way; what comes in is zero.

    y[n, :, i, j] = x[n, :, i - dy, j - dx],  dx, dy uniform in {-pixels, …, pixels}

    **Shapes** x (N, C, H, W) → the same.
    **Raises** ValueError if pixels is negative.
    """

    def __init__(self, pixels: int) -> None:
        if pixels < 0:
            raise ValueError(f"RandomShift: pixels must not be negative; got {pixels}")
        self.pixels = pixels

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        _check("RandomShift", x)
        p = self.pixels
        dy, dx = rng.integers(-p, p, (2, len(x)), endpoint=True)
        padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, x.shape[2:], (2, 3))
        return np.asarray(windows[np.arange(len(x)), :, p - dy, p - dx])    # (N, C, H, W)


class RandomAffine:
    """Rotate, shear, scale and move each image about its centre, at random.

    A point p, in pixels from the centre with y pointing down, goes to s·R(θ)·K·p + t, with

        R(θ) = [cos θ, sin θ; -sin θ, cos θ],  K = [1, tan φ; 0, 1],  t = (a·W, b·H)

    and θ, φ, s, a, b uniform in their ranges. Values between pixels are bilinear, outside zero.

    degrees, shear: the range of θ (anticlockwise) and φ in degrees; one number d means (-d, d).
    translate: the largest |a| and |b|, fractions of width and height. scale: the range of s.

    **Shapes** x (N, C, H, W) → the same.
    **Raises** ValueError if a range is reversed, a scale not positive, |φ| 90° or more.
    **Source** torchvision.transforms.RandomAffine; here t is not rounded to whole pixels.
    """

    def __init__(self, degrees: Range = 0.0, translate: tuple[float, float] = (0.0, 0.0),
                 scale: tuple[float, float] = (1.0, 1.0), shear: Range = 0.0) -> None:
        self.degrees, self.shear = _range("degrees", degrees), _range("shear", shear)
        self.scale = _range("scale", scale)
        self.translate = translate
        if self.scale[0] <= 0:
            raise ValueError(f"RandomAffine: scale must be positive; got {scale}")
        if max(np.abs(self.shear)) >= 90:
            raise ValueError(f"RandomAffine: shear must be below 90 degrees; got {shear}")
        if len(translate) != 2 or min(translate) < 0:
            raise ValueError("RandomAffine: translate must be two numbers that are not negative; "
                             f"got {translate}")

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        _check("RandomAffine", x)
        y = np.empty(x.shape, x.dtype)
        warp_affine(x, self.matrices(len(x), x.shape[2:], rng).astype(x.dtype), y)
        return y

    def matrices(self, n: int, size: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Draw n maps from output to input pixels, as `kernels.warp` takes them: (n, 2, 3)."""
        angle, shear = np.deg2rad(rng.uniform(*self.degrees, n)), rng.uniform(*self.shear, n)
        scale = rng.uniform(*self.scale, n)
        (a, b), (height, width) = self.translate, size
        move = rng.uniform(-1, 1, (n, 2)) * (a * width, b * height)
        cos, sin, tan = np.cos(angle), np.sin(angle), np.tan(np.deg2rad(shear))
        # (s·R·K)⁻¹ = K⁻¹·Rᵀ / s
        inverse = np.stack([cos - tan * sin, -sin - tan * cos, sin, cos], 1).reshape(n, 2, 2)
        inverse /= scale[:, None, None]
        return np.concatenate([inverse, -inverse @ move[:, :, None]], 2)


def _check(name: str, x: Any) -> None:
    if x.ndim != 4 or x.dtype.kind != "f":
        raise ValueError(f"{name}: x must be a float batch (N, C, H, W); got {x.dtype} {x.shape}")


def _range(name: str, value: Range) -> tuple[float, float]:
    low, high = (-value, value) if isinstance(value, int | float) else value
    if low > high:
        raise ValueError(f"RandomAffine: {name} must be a number that is not negative or "
                         f"(low, high); got {value}")
    return low, high
