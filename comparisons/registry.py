"""The five tasks, in the order in which they are told."""

from comparisons.dexpression import DexpressionTask
from comparisons.diabetes import DiabetesTask
from comparisons.mnist_cnn import MnistCnnTask
from comparisons.mnist_mlp import MnistMlpTask
from comparisons.regression import RegressionTask
from comparisons.task import Task

TASKS: dict[str, Task] = {task.name: task for task in (
    RegressionTask(), DiabetesTask(), MnistMlpTask(), MnistCnnTask(), DexpressionTask())}
