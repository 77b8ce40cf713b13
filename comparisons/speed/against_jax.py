"""Training steps in minigrad and in JAX: the five systems, and the zoo's perceptrons.

JAX's step is one function that jax.jit compiles whole: forward, loss, gradients, and optax's Adam
(AdamW for the zoo's networks), with its state donated, so that it is updated in place. Both sides
start from the same weights and see the same batch, and the losses of their first steps are
compared, without dropout. The compilation is not timed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from comparisons import implementations
from comparisons.datasets.base import Array
from comparisons.datasets.levels import inputs
from comparisons.errors import Fault
from comparisons.speed import models
from comparisons.speed.clock import in_turn, repeated
from comparisons.speed.models import ADAM_LR, Case, compared, difference, ratio_to, time_of
from comparisons.speed.networks import ZOO, Network
from comparisons.speed.zoo import Contestant
from comparisons.tasks.face_recipe import FACES
from comparisons.training import environment

SECONDS = 4.0                           # to spend on each model
WEIGHT_DECAY = 0.01                     # AdamW's default in torch and in minigrad
WARM_UP = models.WARM_UP

State = tuple[Any, ...]
"""The weights, the running statistics, the optimiser's averages, and the key of the dropout."""


class JaxSide:
    """A network in JAX with the weights of a model in minigrad."""

    def __init__(self, network: Callable[..., Any], loss: Callable[..., Any], optimizer: Any,
                 model: Any, x: Array, y: Array, seed: int) -> None:
        import jax

        from comparisons.speed import jax_models
        weights = jax_models.weights_of(implementations.get("minigrad").weights(model))
        trained = dict(model.named_parameters())
        parameters = {name: value for name, value in weights.items() if name in trained}
        self.state: State = (
            parameters, {name: weights[name] for name in weights.keys() - trained.keys()},
            optimizer.init(parameters), jax.random.key(seed))
        self.x, self.y = jax_models.input_of(x), jax.numpy.asarray(y)
        self.steps = [jax.jit(partial(step, network, loss, optimizer, dropout), donate_argnums=0)
                      for dropout in (False, True)]
        self.dropout = False

    def step(self) -> float:
        """Take a training step; return the loss."""
        self.state, loss = self.steps[self.dropout](self.state, self.x, self.y)
        return float(loss)


def step(network: Callable[..., Any], loss: Callable[..., Any], optimizer: Any, dropout: bool,
         state: State, x: Any, y: Any) -> tuple[State, Any]:
    """A training step as a function from state to state. jax.jit compiles it."""
    import jax
    import optax
    parameters, statistics, averages, key = state
    key, own = jax.random.split(key) if dropout else (key, None)

    def loss_of(parameters: Any) -> tuple[Any, Any]:
        updated = dict(statistics)
        return loss(network(parameters | statistics, x, own, updated), y), updated

    (value, statistics), grads = jax.value_and_grad(loss_of, has_aux=True)(parameters)
    updates, averages = optimizer.update(grads, averages, parameters)
    return (optax.apply_updates(parameters, updates), statistics, averages, key), value


def insist_on_jax() -> None:
    """Import JAX and optax, for the CPU.

    Raises: Fault if one of them is not installed.
    """
    try:
        import jax
        import optax as optax
    except ImportError as error:
        raise Fault(f"--against jax: {error.name} is not installed; "
                    'pip install -e ".[jax]"') from None
    jax.config.update("jax_platforms", "cpu")


# ---- both sides ----------------------------------------------------------------------------------

Sides = tuple[dict[str, Callable[[], float]], Callable[[], None]]
"""A step on each side, and what switches the dropout on in all of them."""

OURS = ("minigrad", "recorded")         # a step as it is written, and as minigrad.compile makes it


def of_case(case: Case, seed: int) -> Sides:
    """One of the five systems."""
    import optax

    from comparisons.speed import jax_models
    data = models.batch_of(case, seed)
    if case.variant is None:
        network, loss = jax_models.SYSTEMS[case.task]
    else:
        network = jax_models.DEXPRESSION[case.variant]
        count = np.bincount(data.y, minlength=len(data.classes))
        loss = partial(jax_models.weighted_cross_entropy, smoothing=FACES.smoothing,
                       weight=np.maximum(count, 1).astype(np.float32)**-FACES.balance)
    model = models.build(case, data, "minigrad", seed).model
    theirs = JaxSide(network, loss, optax.adam(ADAM_LR), model, inputs(data.x), data.y, seed)
    ours = {side: models.stepper(case, data, side, seed) for side in OURS}
    return {**ours, "jax": theirs.step}, lambda: None


def of_network(network: Network, seed: int) -> Sides:
    """One of the zoo's perceptrons."""
    import optax

    from comparisons.speed import jax_models
    ours = {side: Contestant(network, side, seed) for side in OURS}
    theirs = JaxSide(jax_models.PERCEPTRONS[network.title], jax_models.cross_entropy,
                     optax.adamw(ADAM_LR, weight_decay=WEIGHT_DECAY), ours["minigrad"].module,
                     *network.items(network.batch, seed), seed)
    for each in ours.values():
        each.training(dropout=False)

    def with_dropout() -> None:
        for each in ours.values():
            each.training(dropout=True)
        theirs.dropout = True
    return {**{side: each.step for side, each in ours.items()}, "jax": theirs.step}, with_dropout


def measure(one: Case | Network, seed: int) -> dict[str, Any]:
    """The times of both sides in ms, the ratio of medians, and the difference of the losses."""
    steps, with_dropout = (of_case(one, seed) if isinstance(one, Case)
                           else of_network(one, seed))
    losses = {side: [step() for _ in range(WARM_UP)] for side, step in steps.items()}
    with_dropout()
    for step in steps.values():
        [step() for _ in range(WARM_UP)]
    block, times = in_turn({side: repeated(step) for side, step in steps.items()}, SECONDS)
    row = compared(times, {})
    row["ratio_jax_recorded"] = row["jax"]["median_ms"] / row["recorded"]["median_ms"]
    return row | {"title": one.title, "batch": one.batch, "threads": environment.threads(),
                  "steps_a_round": block, "rounds": len(times["minigrad"]),
                  "loss_difference": difference(losses)}


# ---- the table -----------------------------------------------------------------------------------

HEADER = (f"{'model':27}{'batch':>6}{'minigrad ms':>25}{'recorded ms':>25}{'JAX ms':>25}"
          f"{'ratio':>8}{'recorded':>10}{'losses':>9}")
NOTES = """\
ms: median (first quartile … third quartile) of a training step; recorded: as minigrad.compile makes
it. ratio, recorded: JAX's time over either; above 1, minigrad is faster. losses: their largest
difference in the first steps, relative to the change of the loss. JAX uses all cores."""


def run(cases: Sequence[Case], perceptrons: bool, seed: int) -> Iterator[dict[str, Any]]:
    """Measure each case and perhaps the zoo's perceptrons; print and yield each row."""
    from comparisons.speed import jax_models
    networks = [network for network in ZOO if network.title in jax_models.PERCEPTRONS]
    print(HEADER)
    each: list[Case | Network] = [*cases, *(networks if perceptrons else [])]
    for one in each:
        print(f"{one.title:27}{one.batch:6}", end="", flush=True)
        row = measure(one, seed)
        print("".join(f"{time_of(row, side):>25}" for side in (*OURS, "jax"))
              + f"{ratio_to(row, 'jax'):>8}{ratio_to(row, 'jax_recorded'):>10}"
              f"{row['loss_difference']:9.0e}", flush=True)
        yield row
