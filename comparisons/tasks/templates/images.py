"""My task: what a picture shows.

python -m comparisons run my_task.py --out my-task           trains and tests both implementations
python -m comparisons run my_task.py --out my-task --resume  continues after an interruption
python -m comparisons parity my_task.py                      compares all activations and gradients
python -m comparisons predict my-task/my-task-minigrad/last.safetensors PICTURE --task my_task.py
"""

from pathlib import Path
from typing import Any

from comparisons.datasets.base import Data
from comparisons.datasets.crops import Subject, whole
from comparisons.datasets.picture_folders import load_pictures
from comparisons.implementations import Implementation
from comparisons.tasks.images import ImageTask
from comparisons.tasks.options import Options
from comparisons.tasks.task import Transform
from minigrad.data import transforms

# Your pictures: a folder with one folder for each class, or with train/ and test/, each of which
# has one for each class. The example is a folder of drawn shapes. `--data DIR` overrides it.
PICTURES = Path(__file__).with_name("my-task-pictures")
SIZE = (32, 32)                     # height and width of the network's images; pictures are scaled


class MyTask(ImageTask[Options]):
    name = "my-task"
    title = "My task, convolutional network"
    options = Options               # CONTRIBUTING.md shows how to add flags of your own
    reads = "a folder of pictures for each class"
    subject = Subject("picture", whole, whole)      # `predict` takes each picture as a whole
    epochs = 20
    batch_size = 16
    lr = 5e-3                       # the peak of a cycle: it rises, and then falls to zero

    def load(self, options: Options) -> Data:
        return load_pictures(options.data or PICTURES, SIZE, seed=options.seed)

    def transform(self) -> Transform | None:
        """The change of each training image, a different one in each epoch; None for none."""
        return transforms.RandomAffine(10, (0.1, 0.1), (0.9, 1.1), padding_mode="border")

    def model(self, implementation: Implementation, data: Data, options: Options) -> Any:
        """The network; `nn` is minigrad's or PyTorch's. Images are (N, 1, height, width)."""
        nn = implementation.nn
        height, width = (pixels // 4 for pixels in data.x.shape[2:])
        return nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(32 * height * width, 64), nn.ReLU(),
            nn.Linear(64, len(data.classes)))
