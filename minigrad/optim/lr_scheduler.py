"""Learning rates that change from step to step. Source: torch.optim.lr_scheduler.

Call `scheduler.step()` after `optimizer.step()`, once per epoch or once per batch; t = `last_epoch`
counts the calls. A rule changes the current rate, so that two schedulers can act on one optimiser,
unless its docstring says that it sets the rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from minigrad.kernels.tape import again
from minigrad.ops.arguments import require_number
from minigrad.optim.optimizer import Group, Optimizer

Rates = float | Sequence[float]
Lambda = Callable[[int], float]


class LRScheduler:
    """Base class: a subclass defines `get_lr`, the rate of each group at step `last_epoch`."""

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self._attach(optimizer)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(f"{type(self).__name__}: param group {i} has no initial_lr to resume"
                               " from; load the optimiser's state first")
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self.step()

    def _attach(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(self).__name__}: needs an Optimizer; "
                            f"got {type(optimizer).__name__}")
        self.optimizer, self._loads = optimizer, optimizer.loads

    def get_lr(self) -> list[float]:
        raise NotImplementedError

    def get_last_lr(self) -> list[float]:
        """The current rate of each param group."""
        return self._last_lr

    @again
    def step(self) -> None:
        """Count one step and set the optimiser's rates for it."""
        self.last_epoch += 1
        self._set(self.get_lr())

    def _set(self, rates: list[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = list(rates)

    def _current(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def _bases(self) -> list[float]:
        """The initial rate of each param group."""
        n = len(self.optimizer.param_groups)
        if n != len(self.base_lrs):
            raise ValueError(f"{type(self).__name__}: was made for {len(self.base_lrs)} param "
                             f"groups; the optimiser now has {n}")
        return self.base_lrs

    def state_dict(self) -> dict[str, Any]:
        """All attributes but the optimiser, under torch's names."""
        return {key: value for key, value in vars(self).items()
                if key not in ("optimizer", "_loads")}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned for a scheduler of this kind, minigrad's or torch's.

        The optimiser gets the rates that belong to it, unless a state of its own was loaded after
        this scheduler was made: that has the rates of all its schedulers.
        Raises: ValueError if something is missing, or the param groups are not as many; then
        nothing has been changed.
        Source: torch. Deliberately different: there the optimiser keeps the rates that it has.
        """
        own = self.state_dict()
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"{type(self).__name__}: the loaded state must be a dict; "
                            f"got {type(state_dict).__name__}")
        missing = [key for key in own if key not in state_dict]
        if missing:
            raise ValueError(f"{type(self).__name__}: the loaded state lacks {', '.join(missing)}")
        if len(rates := list(state_dict["_last_lr"])) != len(self._last_lr):
            raise ValueError(f"{type(self).__name__}: the loaded state has the rates of "
                             f"{len(rates)} param groups; this scheduler has {len(self._last_lr)}")
        vars(self).update({key: state_dict[key] for key in own})
        groups = self.optimizer.param_groups    # some may have been added since
        if self._loads == self.optimizer.loads and len(groups) == len(rates):
            self._set(rates)


class LambdaLR(LRScheduler):
    """lr = base_lr · f(t). This sets the rate. lr_lambda: f, or a list of one f for each group."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Lambda | Sequence[Lambda],
                 last_epoch: int = -1) -> None:
        self._attach(optimizer)
        self.lr_lambdas = _per_group("LambdaLR", "lr_lambda", lr_lambda, optimizer)
        if not all(callable(f) for f in self.lr_lambdas):
            raise TypeError(f"LambdaLR: lr_lambda must be a function or a list of them; "
                            f"got {lr_lambda!r}")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [base * f(self.last_epoch)
                for base, f in zip(self._bases(), self.lr_lambdas, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """All attributes but the optimiser; functions cannot be saved, so they are None."""
        return super().state_dict() | {"lr_lambdas": [None] * len(self.lr_lambdas)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict({**state_dict, "lr_lambdas": self.lr_lambdas})


class StepLR(LRScheduler):
    """lr ← gamma·lr, once every step_size steps."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1,
                 last_epoch: int = -1) -> None:
        require_number("StepLR", step_size=step_size, gamma=gamma)
        if step_size <= 0:
            raise ValueError(f"StepLR: step_size must be positive; got {step_size}")
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        now = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return [lr * self.gamma if now else lr for lr in self._current()]


class CosineAnnealingLR(LRScheduler):
    """Half a cosine wave from base_lr down to eta_min at step T_max. Then the rate rises again.

    lr ← eta_min + (lr - eta_min)·(1 + cos(π·t / T_max)) / (1 + cos(π·(t - 1) / T_max))

    which makes lr = eta_min + (base_lr - eta_min)·(1 + cos(π·t / T_max)) / 2 if nothing else does.

    Source: Loshchilov & Hutter 2017, eq. 5, without restarts.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0,
                 last_epoch: int = -1) -> None:
        require_number("CosineAnnealingLR", T_max=T_max, eta_min=eta_min)
        if T_max == 0:
            raise ValueError("CosineAnnealingLR: T_max must not be 0")
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        t, floor = self.last_epoch, self.eta_min
        if not hasattr(self, "_last_lr"):           # the first call, from __init__
            return self._current()
        before, after = self._height(t - 1), self._height(t)
        if (t - 1 - self.T_max) % (2 * self.T_max) == 0:        # before is 0: no ratio
            return [lr + (base - floor) * after / 2
                    for lr, base in zip(self._current(), self._bases(), strict=True)]
        return [floor + (lr - floor) * after / before for lr in self._current()]

    def _height(self, t: int) -> float:
        return 1 + math.cos(math.pi * t / self.T_max)


class OneCycleLR(LRScheduler):
    """The rate rises from initial_lr = max_lr / div_factor to max_lr, then falls to min_lr =
    initial_lr / final_div_factor.

    The rise takes the fraction pct_start of all steps. With three_phase the rate first falls back
    to initial_lr in as many steps, and then to min_lr in those that are left. anneal_strategy is
    the shape of each phase, "cos" or "linear". With cycle_momentum, momentum (β₁ for Adam) falls
    from max_momentum to base_momentum while the rate rises, and then rises again. This scheduler
    sets the rates, so it cannot be combined with another.

    Raises: ValueError for arguments out of range, and for a step beyond total_steps.
    Source: Smith & Topin 2018.
    """

    def __init__(self, optimizer: Optimizer, max_lr: Rates, total_steps: int | None = None,
                 epochs: int | None = None, steps_per_epoch: int | None = None,
                 pct_start: float = 0.3, anneal_strategy: str = "cos", cycle_momentum: bool = True,
                 base_momentum: Rates = 0.85, max_momentum: Rates = 0.95, div_factor: float = 25.0,
                 final_div_factor: float = 1e4, three_phase: bool = False,
                 last_epoch: int = -1) -> None:
        self._attach(optimizer)
        counts = [total_steps] if total_steps is not None else [epochs, steps_per_epoch]
        if not all(isinstance(n, int) and n > 0 for n in counts):
            raise ValueError("OneCycleLR: needs a positive int for total_steps, or for both epochs "
                             f"and steps_per_epoch; got {total_steps}, {epochs}, {steps_per_epoch}")
        if not (isinstance(pct_start, float) and 0 <= pct_start <= 1):
            raise ValueError("OneCycleLR: pct_start must be a float between 0 and 1; "
                             f"got {pct_start!r}")
        require_number("OneCycleLR", div_factor=div_factor, final_div_factor=final_div_factor)
        if div_factor == 0 or final_div_factor == 0:
            raise ValueError("OneCycleLR: div_factor and final_div_factor must not be 0; "
                             f"got {div_factor} and {final_div_factor}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError("OneCycleLR: anneal_strategy must be 'cos' or 'linear'; "
                             f"got {anneal_strategy!r}")
        self.total_steps = math.prod(n for n in counts if n is not None)
        self.cycle_momentum = cycle_momentum
        if cycle_momentum and optimizer.defaults.keys().isdisjoint({"momentum", "betas"}):
            raise ValueError("OneCycleLR: cycle_momentum needs an optimiser with momentum or betas")
        self._anneal_func_type = anneal_strategy
        up = float(pct_start * self.total_steps) - 1
        back = [(2 * up, "initial_lr", "max_momentum")] if three_phase else []
        turns = [(0.0, "initial_lr", "max_momentum"), (up, "max_lr", "base_momentum"), *back,
                 (self.total_steps - 1, "min_lr", "max_momentum")]
        self._schedule_phases: list[dict[str, Any]] = [
            {"end_step": end, "start_lr": lr, "end_lr": end_lr,
             "start_momentum": momentum, "end_momentum": end_momentum}
            for (_, lr, momentum), (end, end_lr, end_momentum) in pairwise(turns)]
        if last_epoch == -1:
            tops = _per_group("OneCycleLR", "max_lr", max_lr, optimizer)
            for group, top in zip(optimizer.param_groups, tops, strict=True):
                require_number("OneCycleLR", max_lr=top)
                group["initial_lr"], group["max_lr"] = top / div_factor, top
                group["min_lr"] = group["initial_lr"] / final_div_factor
            if cycle_momentum:
                for key, momentum in (("max_momentum", max_momentum),
                                      ("base_momentum", base_momentum)):
                    values = _per_group("OneCycleLR", key, momentum, optimizer)
                    for group, value in zip(optimizer.param_groups, values, strict=True):
                        group[key] = value
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        self._bases()
        t, start = self.last_epoch, 0.0
        if t > self.total_steps:
            raise ValueError(f"OneCycleLR: step {t} is beyond total_steps {self.total_steps}")
        for phase in self._schedule_phases:
            if t <= phase["end_step"] or phase is self._schedule_phases[-1]:
                break
            start = phase["end_step"]
        if phase["end_step"] == start:
            raise ValueError(f"OneCycleLR: with {self.total_steps} steps a phase has no length; "
                             "choose another pct_start")
        done = (t - start) / (phase["end_step"] - start)
        groups = self.optimizer.param_groups
        if self.cycle_momentum:
            for group in groups:
                momentum = self._between(group, phase, "momentum", done)
                if "betas" in group:
                    group["betas"] = (momentum, *group["betas"][1:])
                else:
                    group["momentum"] = momentum
        return [self._between(group, phase, "lr", done) for group in groups]

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        super().load_state_dict(state_dict)
        if self._loads == self.optimizer.loads:
            self.get_lr()                       # sets the momentum

    def _between(self, group: Group, phase: dict[str, Any], what: str, done: float) -> float:
        start: float = group[phase["start_" + what]]
        end: float = group[phase["end_" + what]]
        if self._anneal_func_type == "cos":
            return end + (start - end) / 2 * (1 + math.cos(math.pi * done))
        return start + (end - start) * done


class ReduceLROnPlateau(LRScheduler):
    """lr ← max(factor·lr, min_lr) when a metric has not improved for more than `patience` steps.

    An improvement is a value below best·(1 - threshold), or below best - threshold with
    threshold_mode "abs". With mode "max" it is a value above best·(1 + threshold), or above
    best + threshold. For `cooldown` steps after the rate was reduced no steps are counted. A change
    of the rate by eps or less is not made.

    Raises: ValueError for arguments out of range.
    """

    def __init__(self, optimizer: Optimizer, mode: str = "min", factor: float = 0.1,
                 patience: int = 10, threshold: float = 1e-4, threshold_mode: str = "rel",
                 cooldown: int = 0, min_lr: Rates = 0, eps: float = 1e-8) -> None:
        self._attach(optimizer)
        require_number("ReduceLROnPlateau", factor=factor, patience=patience,
                       threshold=threshold, cooldown=cooldown, eps=eps)
        if factor >= 1:
            raise ValueError(f"ReduceLROnPlateau: factor must be below 1; got {factor}")
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ValueError("ReduceLROnPlateau: mode must be 'min' or 'max' and threshold_mode "
                             f"'rel' or 'abs'; got {mode!r} and {threshold_mode!r}")
        self.mode, self.factor, self.patience = mode, factor, patience
        self.threshold, self.threshold_mode = threshold, threshold_mode
        self.cooldown, self.eps = cooldown, eps
        self.default_min_lr = None if isinstance(min_lr, list | tuple) else min_lr
        self.min_lrs = _per_group("ReduceLROnPlateau", "min_lr", min_lr, optimizer)
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = self.last_epoch = 0
        self._last_lr = self._current()

    @again
    def step(self, metrics: Any) -> None:       # type: ignore[override]  # as torch's
        """Take in the next value of the metric: a number or a Tensor of one element."""
        try:
            value = float(metrics)
        except (TypeError, ValueError, RuntimeError):
            raise TypeError("ReduceLROnPlateau: metrics must be a number or a Tensor of one "
                            f"element; got {metrics!r}") from None
        self.last_epoch += 1
        if self._is_better(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        rates = self._current()
        if self.num_bad_epochs > self.patience:
            if self.default_min_lr is not None:         # there may be more groups now
                self.min_lrs = [self.default_min_lr] * len(rates)
            if len(self.min_lrs) != len(rates):
                raise RuntimeError(f"ReduceLROnPlateau: min_lr has {len(self.min_lrs)} values; the "
                                   f"optimiser now has {len(rates)} param groups")
            cut = [max(lr * self.factor, low)
                   for lr, low in zip(rates, self.min_lrs, strict=True)]
            rates = [new if lr - new > self.eps else lr
                     for lr, new in zip(rates, cut, strict=True)]
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._set(rates)

    @property
    def in_cooldown(self) -> bool:
        """Whether the rate was reduced within the last `cooldown` steps."""
        return self.cooldown_counter > 0

    def _is_better(self, value: float) -> bool:
        sign = 1 if self.mode == "max" else -1
        if self.threshold_mode == "rel":
            return sign * value > sign * self.best * (1 + sign * self.threshold)
        return sign * value > sign * self.best + self.threshold


def _per_group(name: str, what: str, value: Any, optimizer: Optimizer) -> list[Any]:
    """A list of one value for each param group, of one value or such a list."""
    n = len(optimizer.param_groups)
    values = list(value) if isinstance(value, list | tuple) else [value] * n
    if len(values) != n:
        raise ValueError(f"{name}: {what} has {len(values)} values for {n} param groups")
    return values
