"""DeXpression: facial expressions from two parallel feature extraction blocks.

Source: Burkert, Trier, Afzal, Dengel & Liwicki, arXiv 1509.05371v2. It was a Caffe network, whose
pools round up: `ceil_mode=True`, without which every map is a row and a column smaller.
"""

from torch import Tensor, cat, maximum, nn


class FeatEx(nn.Module):
    """Two parallel paths over x, whose channels are put side by side:

        x → 1×1 conv (narrow) → 3×3 conv (wide)          details, after a bottleneck
        x → 3×3 max pool → 1×1 conv (pooled)             the strongest values nearby

    Shapes: x (N, C, H, W) → (N, wide + pooled, H, W).
    """

    def __init__(self, channels: int, narrow: int, wide: int, pooled: int, norm: bool = False
                 ) -> None:
        super().__init__()
        self.a = conv(channels, narrow, 1, norm=norm)
        self.b = conv(narrow, wide, 3, padding=1, norm=norm)
        self.pool = nn.MaxPool2d(3, stride=1, padding=1)
        self.c = conv(channels, pooled, 1, norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        return cat([self.b(self.a(x)), self.c(self.pool(x))], 1)


class LocalContrast(nn.Module):
    """Each pixel's difference from its surroundings, divided by the contrast of these: the lighting
    and the tone of the skin are removed.

        d = x - box(x),  σ = √box(d²),  y = d / max(σ, mean of σ)

    box is the mean over a square of window × window pixels, as far as they lie within the image. y
    stays the same if x becomes brighter or gets more contrast. The mean of σ as a lower bound keeps
    noise in even regions from being amplified.

    Shapes: x (N, C, H, W) → the same; window is odd.
    Source: Jarrett, Kavukcuoglu, Ranzato & LeCun 2009, section 2.1, there with Gaussian windows and
    one σ for all channels.
    """

    def __init__(self, window: int) -> None:
        super().__init__()
        self.box = nn.AvgPool2d(window, stride=1, padding=window // 2, count_include_pad=False)

    def forward(self, x: Tensor) -> Tensor:
        d = x - self.box(x)
        sigma = (self.box(d * d) + 1e-6).sqrt()         # positive even where d is 0
        return d / maximum(sigma, sigma.mean((2, 3), keepdim=True))


class DeXpression(nn.Module):
    """A convolution, FeatEx blocks with pooling after each, and one linear layer.

    variant: "paper" is the network of the paper, which has 790,311 parameters and takes 810 million
    multiplications for an image of 224 px. "compact" is for small images: its input is the local
    contrast, its first convolution has no stride, and it has a third block and batch norm after
    each convolution. At 48 px it has 262,000 parameters and takes 21 million multiplications.
    size: the height and width of the images, on which the linear layer depends.
    Shapes: x (N, in_channels, size, size) → (N, classes).
    Raises: ValueError for an unknown variant, or a size too small to be pooled.
    """

    def __init__(self, classes: int = 7, size: int = 224, variant: str = "paper",
                 in_channels: int = 1) -> None:
        super().__init__()
        if variant not in ("paper", "compact"):
            raise ValueError(f"DeXpression: variant must be 'paper' or 'compact'; got {variant!r}")
        if size < 16:
            raise ValueError(f"DeXpression: size must be at least 16; got {size}")
        if variant == "paper":
            self.features = nn.Sequential(                          # at 224 px:
                conv(in_channels, 64, 7, stride=2, padding=3),      # 64 × 112 × 112
                halve(),                                            # 64 × 56 × 56
                nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0),
                FeatEx(64, 96, 208, 64),                            # 272 × 56 × 56
                halve(),                                            # 272 × 28 × 28
                FeatEx(272, 96, 208, 64),                           # 272 × 28 × 28
                halve())                                            # 272 × 14 × 14
            side, channels = (size + 1) // 2 // 8, 272
        else:
            self.features = nn.Sequential(                          # at 48 px:
                LocalContrast(size // 4 | 1),                       # 1 × 48 × 48
                conv(in_channels, 32, 3, padding=1, norm=True),     # 32 × 48 × 48
                halve(),                                            # 32 × 24 × 24
                FeatEx(32, 24, 48, 16, norm=True),                  # 64 × 24 × 24
                halve(),                                            # 64 × 12 × 12
                FeatEx(64, 48, 96, 32, norm=True),                  # 128 × 12 × 12
                halve(),                                            # 128 × 6 × 6
                FeatEx(128, 96, 192, 64, norm=True),                # 256 × 6 × 6
                halve())                                            # 256 × 3 × 3
            side, channels = size // 16, 256
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(channels * side * side, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))


def conv(channels: int, out: int, kernel: int, stride: int = 1, padding: int = 0,
         norm: bool = False) -> nn.Sequential:
    """A convolution and ReLU; norm: with batch norm between them."""
    layer = nn.Conv2d(channels, out, kernel, stride, padding, bias=not norm)
    return (nn.Sequential(layer, nn.BatchNorm2d(out), nn.ReLU()) if norm
            else nn.Sequential(layer, nn.ReLU()))


def halve() -> nn.MaxPool2d:
    """3×3 max pooling with stride 2, rounding up: n → ⌊n / 2⌋."""
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)
