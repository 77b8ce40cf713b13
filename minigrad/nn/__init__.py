"""Layers: parameters and one functional call each. Source: torch.nn."""

from minigrad.nn import init as init, utils as utils
from minigrad.nn.activation import (
    ELU as ELU, GELU as GELU, Hardtanh as Hardtanh, LeakyReLU as LeakyReLU,
    LogSigmoid as LogSigmoid, LogSoftmax as LogSoftmax, ReLU as ReLU, Sigmoid as Sigmoid,
    SiLU as SiLU, Softmax as Softmax, Softplus as Softplus, Tanh as Tanh,
)
from minigrad.nn.containers import (
    ModuleDict as ModuleDict, ModuleList as ModuleList, Sequential as Sequential,
)
from minigrad.nn.conv import (
    Conv1d as Conv1d, Conv2d as Conv2d, ConvTranspose1d as ConvTranspose1d,
    ConvTranspose2d as ConvTranspose2d,
)
from minigrad.nn.dropout import Dropout as Dropout, Dropout1d as Dropout1d, Dropout2d as Dropout2d
from minigrad.nn.embedding import Embedding as Embedding
from minigrad.nn.linear import Identity as Identity, Linear as Linear
from minigrad.nn.loss import (
    BCELoss as BCELoss, BCEWithLogitsLoss as BCEWithLogitsLoss,
    CrossEntropyLoss as CrossEntropyLoss, HuberLoss as HuberLoss, KLDivLoss as KLDivLoss,
    L1Loss as L1Loss, MSELoss as MSELoss, NLLLoss as NLLLoss, SmoothL1Loss as SmoothL1Loss,
)
from minigrad.nn.module import Module as Module, Parameter as Parameter
from minigrad.nn.norm import (
    BatchNorm1d as BatchNorm1d, BatchNorm2d as BatchNorm2d, GroupNorm as GroupNorm,
    InstanceNorm1d as InstanceNorm1d, InstanceNorm2d as InstanceNorm2d, LayerNorm as LayerNorm,
    LocalResponseNorm as LocalResponseNorm,
)
from minigrad.nn.pool import (
    AdaptiveAvgPool1d as AdaptiveAvgPool1d, AdaptiveAvgPool2d as AdaptiveAvgPool2d,
    AdaptiveMaxPool1d as AdaptiveMaxPool1d, AdaptiveMaxPool2d as AdaptiveMaxPool2d,
    AvgPool1d as AvgPool1d, AvgPool2d as AvgPool2d, MaxPool1d as MaxPool1d, MaxPool2d as MaxPool2d,
)
from minigrad.nn.shape import (
    Flatten as Flatten, Fold as Fold, Unflatten as Unflatten, Unfold as Unfold,
    Upsample as Upsample,
)
