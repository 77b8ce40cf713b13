"""My task: a column of a table, predicted from the others.

python -m comparisons run my_task.py --out my-task
    trains and tests both implementations; with --resume, it continues after an interruption
python -m comparisons parity my_task.py
    compares every activation and every gradient of the two
python -m comparisons predict CHECKPOINT TABLE --task my_task.py
    applies a checkpoint that `run` left in its folder
"""

from pathlib import Path
from typing import Any

from comparisons.datasets.base import Data
from comparisons.implementations import Implementation
from comparisons.tasks.options import CalibratedOptions
from comparisons.tasks.tables import TableClassifier

# To predict a number, such as the price in the example, let the class extend TableRegressor, which
# has the same fields, and is imported from the same place.


class MyTask(TableClassifier[CalibratedOptions]):
    name = "my-task"
    title = "My task, perceptron"
    options = CalibratedOptions     # CONTRIBUTING.md shows how to add flags of your own
    table = Path(__file__).with_name("my-task.csv")     # your table; `--data FILE` overrides it
    target = "kind"                 # the column to predict
    categorical = ()                # columns whose numbers are codes, such as a postcode
    unused = ("price",)             # columns that the network must not see, such as a name
    epochs = 40
    batch_size = 16
    lr = 1e-2                       # the peak of a cycle: it rises, and then falls to zero

    def model(self, implementation: Implementation, data: Data, options: CalibratedOptions) -> Any:
        """The network; `nn` is minigrad's or PyTorch's. Records are (N, inputs)."""
        nn = implementation.nn
        inputs, outputs = data.x.shape[1], len(data.classes) or 1       # 1 for a number
        return nn.Sequential(nn.Linear(inputs, 32), nn.ReLU(), nn.Linear(32, outputs))
