"""My task: what a picture shows.

python -m comparisons run my_task.py --out my-task
    trains and tests both implementations; with --resume, it continues after an interruption
python -m comparisons parity my_task.py
    compares every activation and every gradient of the two
python -m comparisons predict CHECKPOINT PICTURE --task my_task.py
    applies a checkpoint that `run` left in its folder
"""

from pathlib import Path
from typing import Any

from comparisons.datasets.base import Data
from comparisons.datasets.crops import Subject, whole
from comparisons.datasets.picture_folders import load_pictures
from comparisons.implementations import Implementation
from comparisons.tasks.images import ImageTask
from comparisons.tasks.options import CalibratedOptions
from comparisons.tasks.task import Transform
from minigrad.data import transforms

# Your pictures: a folder with one folder for each class, or with train/ and test/, each of which
# has one for each class. The example is a folder of drawn shapes. `--data DIR` overrides it.
PICTURES = Path(__file__).with_name("my-task-pictures")
SIZE = (24, 24)                     # height and width of the network's images; pictures are scaled
CHANNELS = 1                        # 1 for grey, 3 for colour


class MyTask(ImageTask[CalibratedOptions]):
    name = "my-task"
    title = "My task, convolutional network"
    options = CalibratedOptions     # CONTRIBUTING.md shows how to add flags of your own
    reads = "a folder of pictures for each class"
    subject = Subject("picture", whole, whole)      # `predict` takes each picture as a whole
    epochs = 15
    batch_size = 16
    lr = 1e-2                       # the peak of a cycle: it rises, and then falls to zero

    def load(self, options: CalibratedOptions) -> Data:
        """The pictures, each value a byte: `transform` and the network get them in [0, 1]."""
        return load_pictures(options.data or PICTURES, SIZE, CHANNELS, seed=options.seed,
                             dtype="uint8")

    def transform(self) -> Transform | None:
        """The change of each training image, a different one in each epoch; None for none."""
        return transforms.RandomAffine(10, (0.1, 0.1), (0.9, 1.1), padding_mode="border")

    def model(self, implementation: Implementation, data: Data, options: CalibratedOptions) -> Any:
        """The network; `nn` is minigrad's or PyTorch's. Images are (N, CHANNELS, *SIZE)."""
        nn = implementation.nn
        height, width = (pixels // 4 for pixels in data.x.shape[2:])
        return nn.Sequential(
            nn.Conv2d(CHANNELS, 16, 3, padding=1, bias=False),
            nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1, bias=False),
            nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(32 * height * width, 64), nn.ReLU(),
            nn.Linear(64, len(data.classes)))
