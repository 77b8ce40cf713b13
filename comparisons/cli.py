"""The command line. Everything heavy is imported only once the arguments are known to be good."""

from __future__ import annotations

import argparse
import io
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

TASK_NAMES = ("regression", "diabetes", "mnist-mlp", "mnist-cnn", "dexpression")
FACES_ONLY = ("protocol", "folds", "repeats", "size", "frames", "variant", "casts", "start")


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {' '.join(message.split())}", file=sys.stderr)
        raise SystemExit(2)


def task(word: str) -> str:
    if word not in (*TASK_NAMES, "all"):
        raise argparse.ArgumentTypeError(
            f"unknown task {word!r}; choose from {', '.join(TASK_NAMES)}, all")
    return word


def at_least(least: int, most: int | None = None) -> Any:
    """A whole number from `least` (to `most`)."""
    limits = f"at least {least}" if most is None else f"from {least} to {most}"

    def parse(word: str) -> int:
        try:
            number = int(word)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{word!r} is not a whole number") from None
        if number < least or (most is not None and number > most):
            raise argparse.ArgumentTypeError(f"must be {limits}; got {number}")
        return number
    return parse


def frames(word: str) -> str:
    """Which frames of a recording; see datasets.Frames."""
    from comparisons.datasets import Frames
    try:
        Frames.parse(word)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return word


def rate(word: str) -> float:
    """A learning rate: positive and finite."""
    try:
        number = float(word)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{word!r} is not a number") from None
    if not (math.isfinite(number) and number > 0):
        raise argparse.ArgumentTypeError(f"must be above 0 and finite; got {word}")
    return number


def parser() -> Parser:
    top = Parser(prog="python -m comparisons", description="Five systems in minigrad and in "
                 "PyTorch, side by side. Without arguments: all of them on the data that ship "
                 "with the project, a table, and a page.",
                 epilog="MINIGRAD_DEBUG=1 shows the traceback of a fault.")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, summary: str, some_tasks: str | None = None,
                several_threads: bool = False) -> Parser:
        sub: Parser = commands.add_parser(name, help=summary, description=summary)
        if some_tasks:
            sub.add_argument("tasks", nargs=some_tasks, type=task, metavar="TASK",
                             help=f"{', '.join(TASK_NAMES)} or all")
            sub.add_argument("--seed", type=at_least(0, 2**63 - 1), default=0, metavar="N")
            sub.add_argument("--threads", type=at_least(1), metavar="N",
                             nargs="+" if several_threads else None,
                             help="for BLAS, Numba and PyTorch alike")
        return sub

    run = command("run", "train and judge tasks", "+")
    run.add_argument("--impl", choices=("minigrad", "torch", "both"), default="both")
    run.add_argument("--data", type=Path, metavar="DIR", help="where MNIST or faces lie")
    run.add_argument("--epochs", type=at_least(1), metavar="N")
    run.add_argument("--batch-size", type=at_least(1), metavar="N")
    run.add_argument("--lr", type=rate, metavar="F", help="the (peak) learning rate")
    run.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto",
                     help="PyTorch's; minigrad runs on the CPU")
    run.add_argument("--out", type=Path, metavar="DIR", help="default: runs/<stamp>")
    run.add_argument("--resume", action="store_true", help="go on from the checkpoints in --out")
    run.add_argument("--quick", action="store_true", help="a smoke run: one epoch, few images")
    run.add_argument("--protocol", choices=("random", "clip", "person", "given"),
                     help="dexpression: what is kept apart (default: person); given: the split "
                     "that comes with the data")
    run.add_argument("--folds", type=at_least(2), metavar="K",
                     help="dexpression: cross-validate (default: hold one fifth out)")
    run.add_argument("--repeats", type=at_least(1), metavar="R",
                     help="dexpression: share out anew so many times (default: 1)")
    run.add_argument("--size", type=at_least(16, 512), metavar="PX",
                     help="dexpression (default: 48; 224 for the paper's network on a GPU)")
    run.add_argument("--frames", type=frames, metavar="WHICH", help="dexpression: of each "
                     "recording last:N, peak or neutral-to-peak (default: last:3)")
    run.add_argument("--variant", choices=("paper", "compact"),
                     help="dexpression: the network (default: compact)")
    run.add_argument("--casts", type=at_least(1), metavar="N", help="dexpression: draw so many "
                     "sets of generated faces, each of other persons (default: 1)")
    run.add_argument("--start", metavar="CHECKPOINT", help="dexpression: begin with "
                     "its weights, such as those of a run on the generated faces")
    command("parity", "same weights, same batch: each activation and gradient compared", "*")
    speed = command("speed", "time a training step of both, in turn", "*", several_threads=True)
    kind = speed.add_mutually_exclusive_group()
    kind.add_argument("--layers", dest="what", action="store_const", const="layers",
                      default="models", help="each layer by itself, beside the machine's limits")
    kind.add_argument("--scaling", dest="what", action="store_const", const="scaling",
                      help="as the batch and the image grow")
    kind.add_argument("--walk", dest="what", action="store_const", const="walk",
                      help="one convolution from the naive loop to the kernel (docs/speed.md)")
    speed.add_argument("--json", type=Path, metavar="FILE", help="all figures")
    speed.add_argument("--plot", type=Path, metavar="FILE", help="a picture of them, PNG")
    predict = command("predict", "what a trained network says of pictures of faces or digits")
    predict.add_argument("checkpoint", type=Path, metavar="CHECKPOINT",
                         help="of dexpression, mnist-mlp or mnist-cnn, by either implementation")
    predict.add_argument("images", type=Path, nargs="+", metavar="IMAGE")
    predict.add_argument("--whole", action="store_true",
                         help="a picture is one face, or one digit: nothing is looked for in it")
    predict.add_argument("--out", type=Path, metavar="DIR", help="annotated pictures, PNG")
    predict.add_argument("--json", type=Path, metavar="FILE", help="boxes and probabilities")
    demo = command("demo", "a page on this machine to draw digits and show faces on")
    demo.add_argument("checkpoints", type=Path, nargs="*", metavar="CHECKPOINT",
                      help="default: of each task the newest in runs/")
    demo.add_argument("--port", type=at_least(0, 65535), default=8765, metavar="N",
                      help="default: %(default)s; 0 takes a free one")
    page = command("report", "the page for finished runs")
    page.add_argument("folder", type=Path, metavar="DIR")
    leaks = command("leakage", "what of a face test set training has seen, by each protocol")
    leaks.add_argument("--data", type=Path, metavar="DIR", help="where faces lie")
    leaks.add_argument("--folds", type=at_least(2), default=10, metavar="K")
    leaks.add_argument("--seed", type=at_least(0, 2**63 - 1), default=0, metavar="N")
    drawn = command("faces", "write the generated faces as files, laid out as CK+'s are")
    drawn.add_argument("--out", type=Path, metavar="DIR", required=True, help="empty or new")
    drawn.add_argument("--layout", choices=("ck48", "ck"), default="ck48",
                       help="48×48 folders by class, or CK+'s own tree (default: ck48)")
    drawn.add_argument("--size", type=at_least(16, 512), default=48, metavar="PX")
    drawn.add_argument("--seed", type=at_least(0, 2**63 - 1), default=0, metavar="N")
    fair = command("gates", "whether the generated faces are a fair test")
    fair.add_argument("--impl", choices=("minigrad", "torch"), default="minigrad")
    fair.add_argument("--seed", type=at_least(0, 2**63 - 1), default=0, metavar="N")
    there = command("data", "what is there, what is not, and how to get it")
    there.add_argument("--data", type=Path, metavar="DIR", help="look here, too")
    return top


def main(argv: Sequence[str]) -> int:
    """Run the command line; return the exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")    # a rule or a dash that a code page lacks
    parsing = parser()
    try:
        arguments = parsing.parse_args(argv or ["run", "all"])
        arguments.embedded = not argv
        return COMMANDS[arguments.command](arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    except KeyboardInterrupt:
        print("\ninterrupted; what was finished is kept", file=sys.stderr)
        return 130
    except BrokenPipeError:             # as of `| head`: nobody reads on
        sys.stdout = open(os.devnull, "w")      # noqa: SIM115  what is unsaid would fail at exit
        print("comparisons: standard output was closed; what was finished is kept",
              file=sys.stderr)
        return 1
    except Exception as error:
        if os.environ.get("MINIGRAD_DEBUG"):
            raise
        print(f"comparisons: {one_line(error)}", file=sys.stderr)
        return 1


def one_line(error: Exception) -> str:
    """What went wrong: the message of a fault that we know, with its type for one we do not."""
    from comparisons.datasets import DataError
    from comparisons.task import Fault
    from minigrad.checkpoint import CheckpointError
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    message = " ".join(str(error).split())
    if isinstance(error, Fault | DataError | CheckpointError):
        return message
    return f"{type(error).__name__}: {message}"


def usage_error(command: str, message: str) -> NoReturn:
    print(f"python -m comparisons {command}: {message}", file=sys.stderr)
    raise SystemExit(2)


def chosen(names: Sequence[str]) -> list[str]:
    """The tasks asked for, each once, in their usual order."""
    return [t for t in TASK_NAMES if t in names or "all" in names or not names]


def run(arguments: argparse.Namespace) -> int:
    names = chosen(arguments.tasks)
    for flag in FACES_ONLY:
        if getattr(arguments, flag) is not None and "dexpression" not in names:
            usage_error("run", f"--{flag} is for dexpression only")
    if arguments.start is not None and names != ["dexpression"]:
        usage_error("run", "--start is for dexpression alone")
    if arguments.resume and arguments.out is None:
        usage_error("run", "--resume needs --out DIR, the folder of the run to go on with")
    check_device(arguments.device, arguments.impl)

    from comparisons import implementations, report, runner, table
    from comparisons.registry import TASKS
    from comparisons.results import Results, new_folder
    from comparisons.task import Options
    insist_on_folder(arguments.data)
    implementations.set_threads(arguments.threads)
    faces = {flag: getattr(arguments, flag) for flag in FACES_ONLY
             if getattr(arguments, flag) is not None}
    if arguments.variant == "paper" and on_gpu(arguments.device, arguments.impl):
        faces.setdefault("size", 224)
    options = Options(arguments.data, arguments.embedded, arguments.epochs, arguments.batch_size,
                      arguments.lr, arguments.seed, arguments.device, arguments.quick, **faces)
    impls = implementations.NAMES if arguments.impl == "both" else (arguments.impl,)
    results = Results(arguments.out or new_folder())
    done = runner.run_tasks([TASKS[name] for name in names], impls, options, results,
                            resume=arguments.resume)
    print(f"\n{table.text(done)}\n")
    if options.quick:
        print("a smoke run: its figures mean nothing\n")
    print(f"{results.path}\n{report.write(results)}")
    return 0


def insist_on_folder(data: Path | None) -> None:
    if data is not None and not data.is_dir():
        from comparisons.task import Fault
        raise Fault(f"{data}: no such folder (--data)")


def check_device(device: str, impl: str) -> None:
    if device in ("auto", "cpu"):
        return
    if impl == "minigrad":
        usage_error("run", f"--device {device}: minigrad runs on the CPU only")
    import torch
    available = (torch.cuda.is_available() if device == "cuda"
                 else torch.backends.mps.is_available())
    if not available:
        usage_error("run", f"--device {device}: not available to PyTorch on this machine")


def on_gpu(device: str, impl: str) -> bool:
    """Whether PyTorch takes part and will train on a GPU."""
    if impl == "minigrad" or device == "cpu":
        return False
    from torch_impl.train import pick_device
    return pick_device(device).type != "cpu"


def parity(arguments: argparse.Namespace) -> int:
    from comparisons import implementations, parity
    implementations.set_threads(arguments.threads)
    return parity.main(chosen(arguments.tasks), arguments.seed)


def speed(arguments: argparse.Namespace) -> int:
    from comparisons import speed
    from minigrad.kernels import load_numba
    most = load_numba().config.NUMBA_NUM_THREADS
    for n in arguments.threads or ():
        if n > most:                    # PyTorch would have more than minigrad
            usage_error("speed", f"--threads {n}: Numba has at most {most} here")
    return speed.main(arguments.what, chosen(arguments.tasks), arguments.seed,
                      arguments.threads or (), arguments.json, arguments.plot)


def predict(arguments: argparse.Namespace) -> int:
    from comparisons import predict
    return predict.main(arguments.checkpoint, arguments.images, whole=arguments.whole,
                        out=arguments.out, json=arguments.json)


def demo(arguments: argparse.Namespace) -> int:
    from comparisons import demo
    return demo.main(arguments.checkpoints, arguments.port)


def page(arguments: argparse.Namespace) -> int:
    from comparisons import report
    from comparisons.results import Results
    from comparisons.task import Fault
    if not (arguments.folder / "results.json").is_file():
        raise Fault(f"{arguments.folder / 'results.json'}: no such file; "
                    "it is what `run --out DIR` leaves in DIR")
    print(report.write(Results(arguments.folder)))
    return 0


def leakage(arguments: argparse.Namespace) -> int:
    from comparisons import leakage
    from comparisons.registry import TASKS
    from comparisons.task import Options
    insist_on_folder(arguments.data)
    options = Options(arguments.data, folds=arguments.folds, seed=arguments.seed)
    print(leakage.text(TASKS["dexpression"].load(options), options))
    return 0


def data(arguments: argparse.Namespace) -> int:
    from comparisons import data_overview
    print(data_overview.text(arguments.data))
    return 0


def faces(arguments: argparse.Namespace) -> int:
    from comparisons.datasets import write_faces
    n = write_faces(arguments.out, arguments.layout, arguments.size, arguments.seed)
    print(f"{arguments.out}: {n:,} pictures of {arguments.size} px, of persons who do not exist\n"
          f"python -m comparisons run dexpression --data {arguments.out}")
    return 0


def gates(arguments: argparse.Namespace) -> int:
    from comparisons import gates
    return gates.main(arguments.impl, arguments.seed)


COMMANDS = {"run": run, "parity": parity, "speed": speed, "predict": predict, "demo": demo,
            "report": page, "leakage": leakage, "data": data, "faces": faces,
            "gates": gates}
