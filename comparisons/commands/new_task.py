"""Write a task for data of your own, which runs at once on an example."""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from comparisons.errors import Fault
from comparisons.tasks.names import NAMES

KINDS = ("images", "table")


def flags(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    parser.add_argument("name", metavar="NAME", help="name of the task, such as leaves or "
                        "house-prices; a folder may stand before it")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--images", dest="kind", action="store_const", const="images",
                      default="images", help="classify pictures, with one folder for each class "
                      "(this is the default)")
    kind.add_argument("--table", dest="kind", action="store_const", const="table",
                      help="predict a column of a table (CSV), a class or a number")


def main(arguments: argparse.Namespace) -> int:
    given = Path(arguments.name)
    name = given.name.removesuffix(".py").replace("_", "-")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        arguments.parser.error(f"argument NAME: {name!r} must consist of lower-case letters, "
                               "digits and single hyphens, with a letter first")
    if name in (*NAMES, "all"):
        arguments.parser.error(f"argument NAME: {name!r} is already used")
    file = given.with_name(f"{name.replace('-', '_')}.py")
    images = arguments.kind == "images"
    data = given.with_name(f"{name}-pictures" if images else f"{name}.csv")
    for path in (file, data):
        if path.exists() or path.is_symlink():
            raise Fault(f"{path}: is already there")
    from comparisons.datasets.examples import table, write_shapes
    from comparisons.files import whole_folder, write_text
    from comparisons.tasks import templates
    code = Path(templates.__file__).with_name(f"{arguments.kind}.py").read_text("utf-8")
    if images:
        with whole_folder(data) as folder:
            write_shapes(folder)
    else:
        write_text(data, table())
    try:
        write_text(file, named(code, name))
    except BaseException:               # so that the command can be given again
        shutil.rmtree(data) if images else data.unlink()
        raise
    print(f"{file}: the task; {data}: an example of its data, to be replaced by yours\n"
          f"python -m comparisons run {shlex.quote(str(file))}")
    return 0


def named(code: str, name: str) -> str:
    """The code of a template with the task's own name in place of the template's."""
    words = name.split("-")
    for old, new in (("MyTask", "".join(word.capitalize() for word in words) + "Task"),
                     ("my_task", "_".join(words)), ("my-task", name),
                     ("My task", " ".join(words).capitalize())):
        code = code.replace(old, new)
    return code
