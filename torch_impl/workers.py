"""Training in several processes (data parallelism): each takes its share of every batch.

    torchrun --nproc-per-node 2 script.py

Every process holds the whole network. The gradients of all shares are added up, so all processes
take the same step, and it is the step that one process would take with the whole batch: in float64
the weights agree to 12 digits. This includes batch norm, whose means and variances are those of the
whole batch, and dropout, whose masks are those of the whole batch. Only other random numbers that a
network draws itself are different.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import PrefixStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel
from torch.overrides import TorchFunctionMode

from minigrad.data.micro import micro_batches

PATIENCE = timedelta(seconds=3600)
"""How long a process waits for the others, for example while the first evaluates the network. A
process that has died is noticed at once."""

Part = tuple[list[np.ndarray], float]       # arrays, and the weight of their mean loss


def rank() -> int:
    """The number of this process; the first one, 0, prints and writes."""
    return int(os.environ.get("RANK", 0)) if size() > 1 else 0


def size() -> int:
    """The number of processes that train together."""
    return int(os.environ.get("WORLD_SIZE", 1))


def join() -> None:
    """Connect this process with the others."""
    if size() > 1 and not dist.is_initialized():
        store, _, _ = next(rendezvous("env://", timeout=PATIENCE))
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
                                timeout=PATIENCE, store=own_part(store), rank=rank(),
                                world_size=size())
        atexit.register(dist.destroy_process_group)


def own_part(store: Any) -> Any:
    """A part of the store of addresses that these processes share with no earlier ones.

    torchrun keeps one store over all restarts. It still holds the addresses of the processes that
    have ended, and a new one could take these for its companions'. So the first process agrees with
    each of the others on a name for their part. Another process asks under a word that is new, and
    only an answer to this word counts.
    """
    if rank():
        word = uuid4().hex
        store.set(f"asking/{rank()}", word)
        name = store.get(f"answer/{word}").decode()
        store.set(f"{name}/{rank()}", "here")
        return PrefixStore(name, store)
    name, missing, end = uuid4().hex, set(range(1, size())), time.monotonic() + PATIENCE.seconds
    while missing:
        for other in sorted(missing):
            if store.check([f"asking/{other}"]):
                store.set(f"answer/{store.get(f'asking/{other}').decode()}", name)
            if store.check([f"{name}/{other}"]):
                missing.remove(other)
        if time.monotonic() > end:
            raise TimeoutError(f"{len(missing)} of {size()} processes have not come")
        time.sleep(0.01)
    return PrefixStore(name, store)


def gathered(value: Any) -> list[Any]:
    """The value that each process has; all of them must ask."""
    if size() == 1:
        return [value]
    join()
    values = [None] * size()
    dist.all_gather_object(values, value)
    return values


class Workers:
    """The processes that train together: those that torchrun started, or this one alone."""

    def __init__(self, device: torch.device) -> None:
        self.rank, self.size, self.device = rank(), size(), device
        self.seed = torch.initial_seed()
        self.examples = 1.0     # in all processes, for each one here
        self.idle = False       # whether this process has no example of its own
        self.own: Sequence[int] = ()    # the numbers of its examples in the batch
        self.net: Any = None
        if self.size > 1:
            if device.type == "cuda":
                torch.cuda.set_device(device)
            join()

    def share(self, model: nn.Module) -> nn.Module:
        """The model, its gradients averaged; all processes start with the weights of the first."""
        if self.size == 1:
            return model
        # a user's network may have unused parameters. To look for them also keeps PyTorch from
        # changing the order of the gradients after the first step, so that after a restart even the
        # last digits of their sums are the same
        self.net = net = DistributedDataParallel(model, find_unused_parameters=True)
        return net

    def epoch(self, loader: Any, epoch: int) -> Iterator[tuple[np.ndarray, ...]]:
        """The batches of an epoch. Each process draws random numbers of its own, which depend on
        the seed, the epoch and the process; the first goes on as if it were alone."""
        if self.rank:
            torch.manual_seed(hash((self.seed, epoch, self.rank)) % 2**63)
        yield from loader

    def parts(self, batch: tuple[np.ndarray, ...], count: int, weigh: Callable[[np.ndarray], float]
              ) -> Iterator[Part]:
        """This process's share of each micro-batch: every size-th example."""
        pieces = list(micro_batches(batch, count, weigh))
        for i, (part, share) in enumerate(pieces, 1):
            if self.size == 1:
                yield list(part), share
                continue
            # gradients are exchanged once a batch, when the last ones are there
            self.net.require_backward_grad_sync = i == len(pieces)
            n, mine = len(part[0]), [array[self.rank::self.size] for array in part]
            # every process must take part in the averaging: one without examples of its own
            # computes the loss of the first example, with weight 0
            self.idle = len(mine[0]) == 0
            self.own = [0] if self.idle else range(self.rank, n, self.size)
            if self.idle:
                mine = [array[:1] for array in part]
            self.examples = n / len(mine[0])
            whole = weigh(part[-1])
            weight = 0.0 if self.idle or not whole else weigh(mine[-1]) / whole
            yield mine, share * weight * self.size

    def rows(self, count: int) -> list[int]:
        """The numbers, in the whole batch, of the `count` rows of something computed here, such as
        one for each example, or one for each of its words."""
        each, rest = divmod(count, len(self.own))
        if rest:        # its first dim is not that of the examples
            return list(range(count))
        return [n * each + k for n in self.own for k in range(each)]

    def together(self) -> contextlib.AbstractContextManager[object]:
        """A context in which batch norm uses the statistics of all processes."""
        return SharedStatistics(self) if self.size > 1 else contextlib.nullcontext()

    def mean(self, value: Tensor) -> float:
        """The mean over the processes."""
        if self.size > 1:
            dist.all_reduce(value)
        return value.item() / self.size


# ---- batch norm ----------------------------------------------------------------------------------

class AllReduce(torch.autograd.Function):
    """The sum over all processes. Each one's gradient is the sum of the gradients of all."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        total = g.contiguous().clone()
        dist.all_reduce(total)
        return total


class SharedStatistics(TorchFunctionMode):
    """Replaces torch.nn.functional.batch_norm, which all layers of batch norm call, in training.

    torch.nn.SyncBatchNorm does the same on GPUs only, and cannot leave out an idle process.
    """

    def __init__(self, workers: Workers) -> None:
        super().__init__()
        self.workers = workers

    def __torch_function__(self, function: Any, types: Any, args: Any = (),
                           kwargs: dict[str, Any] | None = None) -> Any:
        if function is nn.functional.batch_norm:
            return shared_batch_norm(self.workers, *args, **(kwargs or {}))
        return function(*args, **(kwargs or {}))


@torch.compiler.disable     # type: ignore[untyped-decorator]
def shared_batch_norm(workers: Workers, x: Tensor, running_mean: Tensor | None = None,
                      running_var: Tensor | None = None, weight: Tensor | None = None,
                      bias: Tensor | None = None, training: bool = False, momentum: float = 0.1,
                      eps: float = 1e-5) -> Tensor:
    """y = (x - mean) / √(variance + eps) · weight + bias, with the statistics of all processes.

    Shapes: x (N, C, …) -> (N, C, …); weight, bias, running_mean and running_var (C,).
    Raises: ValueError if all processes together have one value for each channel.
    """
    with torch._C.DisableTorchFunction():
        if not training:
            return nn.functional.batch_norm(x, running_mean, running_var, weight, bias, False,
                                            momentum, eps)
        dims = [0, *range(2, x.ndim)]
        shape = [1, -1, *[1] * (x.ndim - 2)]
        count = round(x.numel() / x.shape[1] * workers.examples)
        if count <= 1:
            raise ValueError("batch_norm: expected more than 1 value for each channel in training")

        def mean(values: Tensor) -> Tensor:
            total: Tensor = AllReduce.apply(values.sum(dims) * (not workers.idle))
            return total / count
        exact = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
        centre = mean(exact)
        deviation = exact - centre.view(shape)
        variance = mean(deviation.square())
        if running_mean is not None and running_var is not None:
            with torch.no_grad():
                running_mean.lerp_(centre.to(running_mean), momentum)
                running_var.lerp_((variance * (count / (count - 1))).to(running_var), momentum)
        scale = (variance + eps).rsqrt()
        y = deviation * (scale if weight is None else scale * weight).view(shape)
        return (y if bias is None else y + bias.view(shape)).to(x.dtype)
