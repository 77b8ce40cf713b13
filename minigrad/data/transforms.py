"""Augmentation of whole batches. All randomness comes from the `rng` that the DataLoader passes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any, Literal

import numpy as np

from minigrad.autograd import Array
from minigrad.data.loader import Transform
from minigrad.kernels.warp import warp

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

    Shapes: x (N, C, H, W); mean and std are numbers or sequences of C.
    Raises: ValueError if a std is not positive, or x has another number of channels.
    Source: torchvision.transforms.Normalize.
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

    Shapes: x (N, C, H, W) → the same.
    Raises: ValueError if p is not in [0, 1].
    Source: torchvision.transforms.RandomHorizontalFlip.
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
    """Move each image by whole pixels, up to `pixels` each way; what comes in from outside is zero.

    y[n, :, i, j] = x[n, :, i - dy, j - dx],  dx, dy uniform in {-pixels, …, pixels}

    Shapes: x (N, C, H, W) → the same.
    Raises: ValueError if pixels is negative.
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

    and θ, φ, s, a, b uniform in their ranges. Values between pixels are bilinear.

    degrees, shear: the range of θ (anticlockwise) and φ in degrees; one number d means (-d, d).
    translate: the largest |a| and |b|, fractions of width and height. scale: the range of s.
    padding_mode: what lies outside the image: "zeros", or "border", its outermost pixels.

    Shapes: x (N, C, H, W) → the same.
    Raises: ValueError if a range is reversed, a scale not positive, |φ| 90° or more, or for another
    padding_mode.
    Source: torchvision.transforms.RandomAffine; here t is not rounded to whole pixels, and
    padding_mode is that of torch.nn.functional.grid_sample.
    """

    def __init__(self, degrees: Range = 0.0, translate: tuple[float, float] = (0.0, 0.0),
                 scale: tuple[float, float] = (1.0, 1.0), shear: Range = 0.0,
                 padding_mode: str = "zeros") -> None:
        self.degrees = _range("RandomAffine: degrees", degrees, centre=0)
        self.shear = _range("RandomAffine: shear", shear, centre=0)
        self.scale = _range("RandomAffine: scale", scale)
        self.translate = translate
        if self.scale[0] <= 0:
            raise ValueError(f"RandomAffine: scale must be positive; got {scale}")
        if max(np.abs(self.shear)) >= 90:
            raise ValueError(f"RandomAffine: shear must be below 90 degrees; got {shear}")
        if len(translate) != 2 or min(translate) < 0:
            raise ValueError("RandomAffine: translate must be two numbers that are not negative; "
                             f"got {translate}")
        self.padding_mode = _padding("RandomAffine", padding_mode)

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        _check("RandomAffine", x)
        y = np.empty(x.shape, x.dtype)
        matrices = self.matrices(len(x), x.shape[2:], rng).astype(x.dtype)
        nowhere = np.empty((0, 2, *x.shape[2:]), x.dtype)
        warp(x, matrices, nowhere, int(self.padding_mode == "zeros"), y)
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


class ElasticTransform:
    """Move the pixels of each image, neighbours alike, as if it were drawn on rubber.

    The pixel at p shows what was at p + d(p), with bilinear values between pixels, and

        d = alpha · (G * u),  u uniform in [-1, 1] for each pixel and each direction

    where * G is the Gaussian blur with standard deviation sigma, whose weights are divided by their
    sum where the image ends.

    alpha: the strength, in pixels. sigma: in pixels; the larger it is, the more neighbours move
    together, and the smaller the moves are. padding_mode: as for RandomAffine.

    Shapes: x (N, C, H, W) → the same.
    Raises: ValueError if alpha is negative, sigma not positive, or either not finite, or for
    another padding_mode.
    Source: Simard, Steinkraus & Platt 2003, who used alpha = 34 and sigma = 4 for digits;
    torchvision.transforms.v2.ElasticTransform. There alpha counts half pixels, and all images of a
    batch share d.
    """

    def __init__(self, alpha: float = 34.0, sigma: float = 4.0, padding_mode: str = "zeros"
                 ) -> None:
        if not 0 <= alpha < math.inf:
            raise ValueError("ElasticTransform: alpha must be finite and not negative; "
                             f"got {alpha}")
        if not 0 < sigma < math.inf:
            raise ValueError(f"ElasticTransform: sigma must be finite and positive; got {sigma}")
        self.alpha, self.sigma = float(alpha), float(sigma)
        self.padding_mode = _padding("ElasticTransform", padding_mode)

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        _check("ElasticTransform", x)
        y = np.empty(x.shape, x.dtype)
        same = np.broadcast_to(np.eye(2, 3, dtype=x.dtype), (len(x), 2, 3)).copy()
        moves = self.moves(len(x), x.shape[2:], rng).astype(x.dtype)
        warp(x, same, moves, int(self.padding_mode == "zeros"), y)
        return y

    def moves(self, n: int, size: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Draw d for n images, to the right and downwards: (n, 2, H, W)."""
        u = 2 * rng.random((n, 2, *size), np.float32) - 1
        rows, columns = (self.blur(side) for side in size)
        return np.asarray(self.alpha * (rows @ u @ columns.T))

    def blur(self, side: int) -> Array:
        """The blur along one direction as a matrix: (side, side)."""
        distance = np.subtract.outer(np.arange(side), np.arange(side))
        weights = np.exp(-distance**2 / (2 * self.sigma**2))
        return np.asarray(weights / weights.sum(1, keepdims=True), np.float32)


class ColorJitter:
    """Make each image brighter or darker, then its contrast stronger or weaker, at random.

        y = clip(b·x, 0, 1),  then  z = clip(c·y + (1 - c)·m, 0, 1)

    with b and c uniform in their ranges and m the mean of the grey image: of y for one channel, of
    0.2989·R + 0.587·G + 0.114·B for three. A step whose factor can only be 1 is left out.

    brightness, contrast: the range of b and c; one number d means (max(0, 1 - d), 1 + d).

    Shapes: x (N, 1 or 3, H, W) with values in [0, 1] → the same.
    Raises: ValueError if a range is reversed or negative, or x has other channels.
    Source: torchvision.transforms.v2.ColorJitter; here brightness always comes first, each image of
    a batch has factors of its own, and saturation and hue are not changed.
    """

    def __init__(self, brightness: Range = 0.0, contrast: Range = 0.0) -> None:
        self.brightness = _range("ColorJitter: brightness", brightness, 0, centre=1)
        self.contrast = _range("ColorJitter: contrast", contrast, 0, centre=1)

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        _check("ColorJitter", x)
        if x.shape[1] not in LUMA:
            raise ValueError(f"ColorJitter: x must have 1 or 3 channels; got x {x.shape}")
        b, c = (rng.uniform(*factor, (len(x), 1, 1, 1)).astype(x.dtype)
                for factor in (self.brightness, self.contrast))
        if self.brightness != (1, 1):
            x = np.clip(b * x, 0, 1)
        if self.contrast != (1, 1):
            luma = np.array(LUMA[x.shape[1]], x.dtype)
            m = (x.mean((2, 3)) @ luma)[:, None, None, None]            # (N, 1, 1, 1)
            x = np.clip(c * x + (1 - c) * m, 0, 1)
        return x


class GaussianNoise:
    """Add noise to each value.  y = clip(x + mean + sigma·n, 0, 1),  n standard normal

    clip: whether to keep y in [0, 1].

    Shapes: x (N, C, H, W) with values in [0, 1] → the same.
    Raises: ValueError if sigma is negative, or either is not finite.
    Source: torchvision.transforms.v2.GaussianNoise; here x may have any number of channels, but
    no integers. n is drawn in float32, so that it is the same for every dtype of x.
    """

    def __init__(self, mean: float = 0.0, sigma: float = 0.1, clip: bool = True) -> None:
        if not math.isfinite(mean):
            raise ValueError(f"GaussianNoise: mean must be finite; got {mean}")
        if not 0 <= sigma < math.inf:
            raise ValueError(f"GaussianNoise: sigma must be finite and not negative; got {sigma}")
        self.mean, self.sigma, self.clip = float(mean), float(sigma), clip

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        _check("GaussianNoise", x)
        noise = rng.standard_normal(x.shape, np.float32).astype(x.dtype)
        y = x + (self.mean + self.sigma * noise)
        return np.clip(y, 0, 1) if self.clip else y


class RandomErasing:
    """Paint a rectangle over each image with probability p: cutout.

    Its area is a part s of the image's and its height r times its width,

        height = round(√(s·H·W·r)),  width = round(√(s·H·W / r))

    with s uniform in `scale`, r log-uniform in `ratio`, and its place uniform among those inside
    the image. s and r are drawn anew, up to ten times, until it is both lower and narrower than the
    image; failing that, the image stays as it is.

    value: what is painted: a number, "random" for standard normal noise, or "mean" for the mean of
    each channel of the image.

    Shapes: x (N, C, H, W) → the same.
    Raises: ValueError if p or scale is not in [0, 1], a ratio not positive, a range reversed, or
    value none of these.
    Source: Zhong et al. 2017, DeVries & Taylor 2017; torchvision.transforms.v2.RandomErasing. There
    a batch shares one rectangle, here each image has its own; "mean" is an addition, and there are
    no values for single channels.
    """

    def __init__(self, p: float = 0.5, scale: tuple[float, float] = (0.02, 0.33),
                 ratio: tuple[float, float] = (0.3, 3.3),
                 value: float | Literal["random", "mean"] = 0.0) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"RandomErasing: p must be in [0, 1]; got {p}")
        if not (isinstance(value, Real) or value in ("random", "mean")):
            raise ValueError("RandomErasing: value must be a number, 'random' or 'mean'; "
                             f"got {value!r}")
        self.p, self.value = p, value
        self.scale = _range("RandomErasing: scale", scale, 0, 1)
        self.ratio = _range("RandomErasing: ratio", ratio, 0)
        if self.ratio[0] == 0:
            raise ValueError(f"RandomErasing: ratio must be positive; got {ratio}")

    def __call__(self, x: Array, rng: np.random.Generator) -> Array:
        _check("RandomErasing", x)
        y = x.copy()
        for image, (i, j, h, w) in zip(y, self.boxes(len(x), x.shape[2:], rng), strict=True):
            place = image[:, i:i + h, j:j + w]                          # (C, h, w)
            if self.value == "random":
                place[...] = rng.standard_normal(place.shape, np.float32)
            elif self.value == "mean":
                place[...] = image.mean((1, 2), keepdims=True)
            else:
                place[...] = self.value
        return y

    def boxes(self, n: int, size: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Draw n rectangles (top, left, height, width): (n, 4). Nothing to paint: 0 by 0."""
        height, width = size
        painted = rng.random(n) < self.p
        area = height * width * rng.uniform(*self.scale, (n, 10))
        low, high = np.log(self.ratio)
        ratio = np.exp(rng.uniform(low, high, (n, 10)))
        sizes = np.rint(np.sqrt([area * ratio, area / ratio])).astype(int)      # (2, n, 10)
        fits = (sizes[0] < height) & (sizes[1] < width)
        h, w = sizes[:, np.arange(n), fits.argmax(1)] * (painted & fits.any(1))
        top, left = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
        return np.stack([top, left, h, w], 1)


LUMA = {1: (1.0,), 3: (0.2989, 0.587, 0.114)}      # channels of an image: their part of its grey


def _check(name: str, x: Any) -> None:
    if x.ndim != 4 or x.dtype.kind != "f":
        raise ValueError(f"{name}: x must be a float batch (N, C, H, W); got {x.dtype} {x.shape}")


def _padding(name: str, mode: str) -> str:
    if mode not in ("zeros", "border"):
        raise ValueError(f"{name}: padding_mode must be 'zeros' or 'border'; got {mode!r}")
    return mode


def _range(name: str, value: Any, least: float = -math.inf, most: float = math.inf, *,
           centre: float | None = None) -> tuple[float, float]:
    """value as (low, high) in [least, most]; a number d, where there is a centre, is centre ± d."""
    try:
        if centre is not None and isinstance(value, Real):
            low, high = max(centre - float(value), least), centre + float(value)
        else:
            low, high = value
        if least <= low <= high <= most and math.isfinite(high - low):
            return float(low), float(high)
    except (TypeError, ValueError):
        pass
    kinds = "(low, high)" if centre is None else "a number that is not negative or (low, high)"
    bounds = "" if least == -math.inf else f" in [{least}, {most}]"
    raise ValueError(f"{name} must be {kinds}{bounds}; got {value}")
