"""Convolutional networks for handwritten digits."""

from torch import Tensor, nn


class CNN(nn.Module):
    """Two convolutions, each followed by pooling that halves the image, and two linear layers.

    size: the height and width of the images, on which the first linear layer depends.
    Shapes: x (N, 1, *size) → (N, classes).
    Raises: ValueError for images that are too small to be halved twice.
    """

    def __init__(self, classes: int = 10, size: tuple[int, int] = (28, 28)) -> None:
        super().__init__()
        height, width = (pixels // 4 for pixels in size)
        if not height or not width:
            raise ValueError(f"CNN: images must be at least 4 pixels high and wide; got {size}")
        self.features = nn.Sequential(                                      # at 28 × 28:
            nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),         # 32 × 14 × 14
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))        # 64 × 7 × 7
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(64 * height * width, 128), nn.ReLU(),
            nn.Linear(128, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))


class StrongCNN(nn.Module):
    """Five 3×3 convolutions with batch norm and ReLU, three poolings, and one linear layer.

    size: the height and width of the images, on which the linear layer depends.
    Shapes: x (N, 1, *size) → (N, classes).
    Raises: ValueError for images that are too small to be halved three times.
    """

    def __init__(self, classes: int = 10, size: tuple[int, int] = (28, 28)) -> None:
        super().__init__()
        height, width = (pixels // 8 for pixels in size)
        if not height or not width:
            raise ValueError("StrongCNN: images must be at least 8 pixels high and wide; "
                             f"got {size}")
        self.features = nn.Sequential(                                      # at 28 × 28:
            *block(1, 32), nn.MaxPool2d(2),                                     # 32 × 14 × 14
            *block(32, 64), *block(64, 64), nn.MaxPool2d(2),                    # 64 × 7 × 7
            *block(64, 128), *block(128, 128), nn.MaxPool2d(2))                 # 128 × 3 × 3
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(128 * height * width, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))


def block(channels: int, out: int) -> list[nn.Module]:
    """A 3×3 convolution, batch norm and ReLU."""
    return [nn.Conv2d(channels, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
