"""minigrad: an automatic differentiation framework on NumPy and Numba, written to be read."""

from minigrad import functional as functional
from minigrad import nn as nn
from minigrad import optim as optim
from minigrad.autograd import enable_grad as enable_grad
from minigrad.autograd import grad as grad
from minigrad.autograd import no_grad as no_grad
from minigrad.creation import arange as arange
from minigrad.creation import bool_ as bool
from minigrad.creation import eye as eye
from minigrad.creation import float32 as float32
from minigrad.creation import float64 as float64
from minigrad.creation import full as full
from minigrad.creation import int64 as int64
from minigrad.creation import ones as ones
from minigrad.creation import rand as rand
from minigrad.creation import randn as randn
from minigrad.creation import tensor as tensor
from minigrad.creation import zeros as zeros
