"""Update rules and learning rates. Source: torch.optim."""

from minigrad.optim import lr_scheduler as lr_scheduler
from minigrad.optim.adam import Adam as Adam, AdamW as AdamW
from minigrad.optim.optimizer import Optimizer as Optimizer
from minigrad.optim.rmsprop import RMSprop as RMSprop
from minigrad.optim.sgd import SGD as SGD
