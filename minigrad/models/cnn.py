"""A convolutional network for handwritten digits."""

from minigrad import Tensor, nn


class CNN(nn.Module):
    """Two convolutions, each followed by pooling that halves the image, and two linear layers.

    Shapes: x (N, 1, 28, 28) → (N, classes).
    """

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),         # 32 × 14 × 14
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))        # 64 × 7 × 7
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(64 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))
