"""Findings about how the network is put together, and what reaches its parameters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from minigrad.inspect.doctor.findings import ERROR, WARNING, Finding
from minigrad.inspect.doctor.patient import Patient
from minigrad.inspect.doctor.trace import SHAPES, Call
from minigrad.nn.module import Parameter

AFFINE = SHAPES | {"dropped", "batch_norm"}
"""Between two linear layers, these leave a function linear (dropout on average)."""

LIKELY_TOO_HIGH = 0.75          # of dropout


def disconnected(patient: Patient) -> Iterator[Finding]:
    """A loss that no gradient flows back from, or parameters that none reaches."""
    loss = patient.loss_tensor
    if patient.error is not None:
        return
    wanted = {name: p for name, p in patient.named.items() if p.requires_grad}
    if loss is None:
        yield Finding("loss_is_no_tensor", ERROR, "The loss function did not return a Tensor, so "
                      "nothing can flow back from it.",
                      "Return the loss itself; call item() only to print it.")
        return
    if not patient.named:
        yield Finding("no_parameters", ERROR, "The network has no parameters.",
                      "Assign layers to attributes of the module, and lists of layers as "
                      "nn.ModuleList.")
        return
    if not wanted:
        yield Finding("all_frozen", ERROR, "No parameter of the network requires grad: all are "
                      "frozen.", "Call requires_grad_() on what is to learn.")
        return
    without = [name for name in wanted if patient.gradients.get(name) is None]
    if len(without) == len(wanted):
        yield Finding("loss_not_connected", ERROR,
                      f"The loss does not depend on any parameter of the network. {cut(patient)}",
                      "Compute the loss from the network's output with Tensor operations "
                      "throughout; keep detach(), numpy(), item() and no_grad() out of the way.")
        return
    if without:
        unused = [name for name in without if id(wanted[name]) not in patient.used]
        if unused:
            yield Finding(
                "unused_parameter", ERROR, f"{listed(unused)} {are(unused)} not used in the "
                "forward pass, and so will never learn.",
                "Call the layer in forward(), or delete it.", unused[0],
                {"parameters": float(len(unused))})
        blocked = [name for name in without if name not in unused]
        if blocked:
            yield Finding(
                "no_gradient", ERROR, f"{listed(blocked)} {are(blocked)} used, but no gradient "
                f"arrives there. {cut(patient)}",
                "Remove the detach(), numpy() or no_grad() between this layer and the loss.",
                blocked[0], {"parameters": float(len(blocked))})


def cut(patient: Patient) -> str:
    found = patient.trace.cut()
    if found is None:
        return ""
    how, call = found
    line = f"{call.place.file.rpartition('/')[2]}:{call.place.line}: {call.place.code}"
    if how == "detach":
        return (f"The graph is cut behind {call.name} ({call.where or line}): its result is used "
                "without its history, as after detach() or numpy().")
    return f"{call.name} ({line}) was not recorded, as inside no_grad()."


def unregistered(patient: Patient) -> Iterator[Finding]:
    """Parameters that the forward pass uses and `net.parameters()` does not find."""
    known = {id(p) for p in patient.net.parameters()}
    seen: dict[int, str] = {}
    for call in patient.trace.calls:
        if not call.place.modules:
            continue
        for x in call.inputs:
            if x is not None and x.is_leaf and x.requires_grad and id(x) not in known \
                    and id(x) not in {id(t) for t in patient.inputs}:
                seen.setdefault(id(x), call.where)
    if seen:
        yield Finding(
            "unregistered_parameter", ERROR, f"The forward pass uses {len(seen)} parameters that "
            f"net.parameters() does not list, the first in {next(iter(seen.values()))!r}. An "
            "optimiser does not get to know them, and state_dict() does not save them.",
            "Keep layers in nn.ModuleList or nn.Sequential instead of a list or dict, and "
            "weights as nn.Parameter.", next(iter(seen.values())), {"parameters": float(len(seen))})


def optimised(patient: Patient) -> Iterator[Finding]:
    """Parameters that the optimiser does not know."""
    if not patient.optimizers:
        return
    known = {id(p) for o in patient.optimizers for group in o.param_groups
             for p in group["params"]}
    wanted = {name: p for name, p in patient.named.items() if p.requires_grad}
    missing = [name for name, p in wanted.items() if id(p) not in known]
    numbers = {"missing": float(len(missing)), "parameters": float(len(wanted))}
    if wanted and len(missing) == len(wanted):
        yield Finding("optimizer_of_another_network", ERROR, "The optimiser holds none of this "
                      "network's parameters: it was made for another network, or before this one "
                      "was made anew.", "Make the optimiser after the network, of "
                      "net.parameters().", "optimizer", numbers)
    elif missing:
        yield Finding("not_in_optimizer", ERROR, f"{listed(missing)} {are(missing)} not in the "
                      "optimiser, and will stay as initialised.",
                      "Make the optimiser of net.parameters(), after all layers are there; freeze "
                      "on purpose with requires_grad_(False).", missing[0], numbers)
    rates = [float(group["lr"]) for o in patient.optimizers for group in o.param_groups
             if "lr" in group]
    if rates and max(rates) == 0:
        yield Finding("learning_rate_zero", ERROR, "The learning rate is 0, so no step changes "
                      "anything.", "Set lr, or look at what the scheduler has made of it.",
                      "optimizer")


def no_activation(patient: Patient) -> Iterator[Finding]:
    """Two linear layers, one directly after the other.

    A bottleneck between them is a decision (a low rank); so are a depthwise and a pointwise
    convolution, and a window taken apart into a row and a column.
    """
    found: list[tuple[Call, Call]] = []
    for call in patient.trace.calls:
        if weighted(call) and (before := feeding(patient, call)) and not meant(before, call):
            found.append((before, call))
    if found:
        first, second = found[0]
        more = f" The same holds for {len(found) - 1} more pairs." * (len(found) > 1)
        yield Finding(
            "no_activation", WARNING, f"{first.where!r} feeds {second.where!r} without an "
            "activation between them: two linear layers in a row compute what one could."
            f"{more}", "Put an activation, such as nn.ReLU(), between them.", second.where,
            {"pairs": float(len(found))})


def weighted(call: Call) -> bool:
    """Whether a call is a linear layer or a convolution with a weight of its own."""
    return call.name in ("linear", "matmul", "conv2d", "conv2d_input_grad") \
        and isinstance(call.inputs[1], Parameter)


def feeding(patient: Patient, call: Call) -> Call | None:
    """The linear layer whose output alone is what a call is given, used nowhere else."""
    trace, x = patient.trace, call.x
    while (before := trace.maker.get(id(x))) is not None:
        if len(trace.users[id(x)]) > 1:
            return None
        if weighted(before):
            return before
        bias = before.name == "add" and isinstance(before.inputs[1], Parameter) \
            and before.inputs[1].ndim == 1
        pooled = before.name == "avg_pool" and call.name.startswith("conv")
        if not (before.name in AFFINE or bias or pooled) or before.name == "cat":
            return None
        x = before.x
    return None


def meant(first: Call, second: Call) -> bool:
    a, b = first.inputs[1], second.inputs[1]
    assert a is not None
    assert b is not None
    if a is b:
        return True
    (ins, middle), (_, outs) = widths(first), widths(second)
    if middle < ins and middle < outs:
        return True
    if first.name == second.name == "conv2d":
        groups = [call.static["geometry"].groups for call in (first, second)]
        taken_apart = a.shape[2:] != b.shape[2:] and 1 in (*a.shape[2:], *b.shape[2:])
        return max(groups) > 1 or taken_apart
    return False


def widths(call: Call) -> tuple[int, int]:
    """How many features or channels go in and come out."""
    if call.name.startswith("conv"):
        return call.x.shape[1], call.y.shape[1]
    return call.x.shape[-1], call.y.shape[-1]


def dropout(patient: Patient) -> Iterator[Finding]:
    """Dropout of nearly everything."""
    for call in patient.trace.named("dropped"):
        p = float(call.static["p"])
        if p > LIKELY_TOO_HIGH:
            yield Finding(
                "dropout_too_high", WARNING, f"Dropout sets {p:.0%} of the values to 0, and "
                f"multiplies the rest by {1 / max(1 - p, 1e-9):.3g}.",
                "p is the share that is dropped, not the share that is kept: 0.1 to 0.5 is usual.",
                call.where, {"p": p})
            return


def shared(patient: Patient) -> Iterator[Finding]:
    """One layer that stands several times in a module."""
    for path, module in patient.net.named_modules():
        times = Counter(id(child) for child in module._own_modules().values()
                        if any(True for _ in child.parameters()))
        if times and max(times.values()) > 1:
            yield Finding(
                "repeated_layer", WARNING, f"In {path or 'the network'}, one and the same layer "
                f"stands {max(times.values())} times: the places share their weights.",
                "Make each layer anew, as in [nn.Linear(8, 8) for _ in range(3)]; "
                "[nn.Linear(8, 8)] * 3 is one layer three times.", path,
                {"times": float(max(times.values()))})


def symmetric(patient: Patient) -> Iterator[Finding]:
    """Hidden units that start alike and receive the same gradient, so that they stay alike."""
    last = next((id(call.inputs[1]) for call in reversed(patient.trace.calls) if weighted(call)), 0)
    for name, p in patient.named.items():
        g = patient.gradients.get(name)
        if p.ndim < 2 or len(p) < 2 or p.shape[1] == 0 or g is None:
            continue
        w, g = p.data.reshape(len(p), -1), g.reshape(len(p), -1)
        if not ((w == w[0]).all() and np.isfinite(g).all()):
            continue
        scale, constant = float(np.abs(g).max()), bool((w == w.flat[0]).all())
        if constant and w.flat[0] and w.size > 3 and id(p) != last:
            yield Finding(
                "symmetry", ERROR, f"The weights {name} are all {w.flat[0]:.4g}: the {len(p)} "
                "units of the layer compute nearly the same, and learn nearly the same.",
                "Initialise weights at random: leave the default, or use "
                "nn.init.kaiming_uniform_.", name, {"units": float(len(p))})
            return
        if float(np.abs(g - g[0]).max()) <= 1e-4 * scale:
            value = f"all {w.flat[0]:.4g}" if constant else "the same in each row"
            yield Finding(
                "symmetry", ERROR, f"The weights {name} are {value}, and their gradients are "
                f"{'0' if scale == 0 else 'the same'} for each of the {len(p)} units: these start "
                "alike and remain alike, however long the training.",
                "Initialise weights at random: leave the default, or use "
                "nn.init.kaiming_uniform_.", name, {"units": float(len(p))})
            return


def twins(patient: Patient) -> Iterator[Finding]:
    """Layers with equal weights and equal gradients, such as copies whose outputs are averaged."""
    found = [(name, p.data, g) for name, p in patient.named.items()
             if p.ndim > 1 and p.numel() > 3 and (g := patient.gradients.get(name)) is not None]
    for i, (name, w, g) in enumerate(found):
        for other, v, h in found[:i]:
            if w.shape == v.shape and np.array_equal(w, v) and g.any() and np.abs(g - h).max() \
                    <= 1e-4 * np.abs(g).max() and (w != w.flat[0]).any():
                yield Finding(
                    "twin_layers", ERROR, f"{other!r} and {name!r} have the same weights and the "
                    "same gradients: they start alike and remain alike.",
                    "Make each layer anew instead of copying one.", name)
                return


def listed(names: list[str]) -> str:
    few = ", ".join(repr(name) for name in names[:4])
    return few + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def are(names: list[str]) -> str:
    return "are" if len(names) > 1 else "is"


CHECKS = (disconnected, unregistered, optimised, symmetric, twins, shared, no_activation,
          dropout)
