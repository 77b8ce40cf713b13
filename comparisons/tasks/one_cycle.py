"""How images and tables are trained unless their task says otherwise."""

from __future__ import annotations

from typing import Any

from comparisons.implementations import Implementation
from comparisons.tasks.task import OptionsT, Recipe, Task


class OneCycleTask(Task[OptionsT]):
    """A task trained with AdamW, whose learning rate rises once to the recipe's and falls again.

    Source: Smith and Topin 2017, arXiv 1708.07120, for the cycle.
    """

    weight_decay = 0.01
    cycle = True            # else the rate is constant

    def optimizer(self, implementation: Implementation, parameters: Any, recipe: Recipe) -> Any:
        return implementation.optim.AdamW(parameters, lr=recipe.lr, weight_decay=self.weight_decay)

    def scheduler(self, implementation: Implementation, optimizer: Any, recipe: Recipe, steps: int
                  ) -> Any:
        if not self.cycle:
            return None
        return implementation.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=recipe.lr,
                                                            total_steps=steps)
