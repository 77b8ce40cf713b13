"""Runs that several processes share: those that torchrun started.

    torchrun --nproc-per-node 2 -m comparisons run mnist-cnn --impl torch

The first process is the leader. It does what a single process does: it decides what is trained,
evaluates, prints and writes. Before each run it announces what it is about to train. The others
load the same data, train along, and do nothing else.

If a process dies, torchrun stops all of them, and starts them anew if --max-restarts allows it.
Then the leader continues the checkpoints that the same command has written.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from comparisons.errors import Fault
from comparisons.tasks.options import Options

ELASTIC = "TORCHELASTIC_"       # torchrun's variables begin with this
DEFERENCE = 5                   # seconds; torchrun looks every 0.1 seconds


class Order(NamedTuple):
    """What the leader is about to train: an argument for each of the others' `Run`."""

    task: str
    options: Options
    folder: Path
    resume: bool


def size() -> int:
    """The number of processes that share this run."""
    return int(os.environ.get("WORLD_SIZE", 1))


def leads() -> bool:
    """Whether this process is the first one, or the only one."""
    return size() == 1 or int(os.environ.get("RANK", 0)) == 0


def gathered(value: Any) -> list[Any]:
    """The value that each process has. Each waits here until all of them have come."""
    if size() == 1:
        return [value]
    from torch_impl import workers
    return workers.gathered(value)


def announce(order: Order | None) -> None:
    """Tell the other processes what to train; None: there is nothing more."""
    gathered(order)


def follow(train: Callable[[Order], object]) -> None:
    """Train whatever the leader announces."""
    while (order := gathered(None)[0]) is not None:
        train(order)


def insist_on_agreement(where: Path, config: dict[str, Any], epoch: int) -> None:
    """Check that all processes are about to train the same, from the same epoch on.

    Raises: Fault if they are not.
    """
    found = gathered((config, epoch))
    leaders, first = found[0]
    for rank, (other, start) in enumerate(found):
        if other != leaders:
            key = next(k for k in {**leaders, **other} if other.get(k) != leaders.get(k))
            raise Fault(f"the first process has {key} {leaders.get(key)}, process {rank + 1} of "
                        f"{size()} has {other.get(key)}; all of them must find the same data")
        if start != first:
            raise Fault(f"{where}: the first process finds {first} finished epochs there, "
                        f"process {rank + 1} of {size()} finds {start}; --out must be in a folder "
                        "that all machines share")


# ---- restarts ------------------------------------------------------------------------------------

def may_restart() -> bool:
    """Whether torchrun may start the processes anew, so that a folder has to be known."""
    return int(os.environ.get(f"{ELASTIC}MAX_RESTARTS", 0)) > 0 or machines() > 1


def machines() -> int:
    """The number of machines that share this run."""
    return int(os.environ.get("GROUP_WORLD_SIZE", 1))


def mark() -> dict[str, str]:
    """What a checkpoint says about the command that wrote it, as an entry of its configuration.

    It is the job's number, given by --rdzv-id or made by torchrun, and stays the same over all
    restarts. Without one, it is the name of the folder that torchrun makes for its own files. It is
    empty if torchrun is not used.
    """
    job = os.environ.get(f"{ELASTIC}RUN_ID", "none")
    if job == "none" and f"{ELASTIC}ERROR_FILE" in os.environ:      # …/<folder>/attempt_0/0/x.json
        job = Path(os.environ[f"{ELASTIC}ERROR_FILE"]).parents[2].name
    return {} if job == "none" else {"job": job}


def foreign(folder: Path) -> list[Path]:
    """The checkpoints that another command has left in the folder of a run.

    Without torchrun, the last one is not among them: it stays until the first epoch replaces it.
    With torchrun, a restart would continue it, and what this command itself wrote before a restart
    is to be continued.
    """
    from minigrad.checkpoint import CheckpointError, load
    found = [*folder.glob("fold-*.safetensors"), *folder.glob("previous.safetensors")]
    if not mark():
        return found

    def job(path: Path) -> Any:
        try:
            return (load(path).config or {}).get("job")
        except CheckpointError:
            return None
    return [path for path in [*folder.glob("last.safetensors"), *found]
            if job(path) != mark()["job"]]


def command(argv: Sequence[str]) -> str:
    """The command line, to be recorded."""
    words = ["python"]
    if size() > 1:
        words = ["torchrun", "--nproc-per-node", os.environ.get("LOCAL_WORLD_SIZE", str(size()))]
        if machines() > 1:
            words += ["--nnodes", str(machines())]
    return shlex.join([*words, "-m", "comparisons", *argv])


# ---- errors --------------------------------------------------------------------------------------

def tell(error: str) -> None:
    """Print an error once, although usually all processes meet it.

    torchrun stops all of them when one ends, so the others wait for that, and print their own error
    only if they are still there.
    """
    if not leads():
        time.sleep(DEFERENCE)
        error = f"process {int(os.environ['RANK']) + 1} of {size()}: {error}"
    print(error, file=sys.stderr, flush=True)
