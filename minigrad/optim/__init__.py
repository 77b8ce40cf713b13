"""Update rules, learning rates and averages of weights. Source: torch.optim."""

from minigrad.optim import lr_scheduler as lr_scheduler, swa_utils as swa_utils
from minigrad.optim.adam import Adam as Adam, AdamW as AdamW
from minigrad.optim.optimizer import Optimizer as Optimizer
from minigrad.optim.rmsprop import RMSprop as RMSprop
from minigrad.optim.sgd import SGD as SGD
