"""The command line is what lies in `commands/`: a new command is a new file."""

from __future__ import annotations

import textwrap
from importlib import import_module

import pytest
from running import one_line

from comparisons import cli, commands
from comparisons.tasks.names import NAMES


@pytest.fixture
def greeting(tmp_path, monkeypatch):
    """A command in a file of its own."""
    (tmp_path / "greet.py").write_text(textwrap.dedent('''
        """Say hello.

        Nothing more.
        """


        def flags(parser, words):
            parser.add_argument("--name", default="you")


        def main(arguments):
            print(f"hello, {arguments.name}")
            return 3
        ''').lstrip())
    monkeypatch.setattr(commands, "__path__", [*commands.__path__, str(tmp_path)])


def test_a_command_is_a_file(greeting, capsys):
    assert cli.main(["greet", "--name", "reader"]) == 3
    assert capsys.readouterr().out == "hello, reader\n"
    assert cli.main(["--help"]) == 0
    assert "greet     Say hello\n" in capsys.readouterr().out
    assert cli.main(["greet", "--nam", "x"]) == 2
    assert one_line(capsys).startswith("python -m comparisons")


def test_the_promised_commands_are_there():
    assert {"run", "parity", "speed", "report", "predict", "demo", "data", "leakage", "faces",
            "gates", "speedrun"} <= set(cli.command_names())


@pytest.mark.parametrize("command", cli.command_names())
def test_each_has_help_and_a_summary(command, capsys):
    assert cli.main([command, "--help"]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"usage: python -m comparisons {command}")
    assert command != "run" or all(name in told for name in NAMES)


def test_help_needs_no_docstrings(monkeypatch, capsys):
    """`python -OO` drops them."""
    for name in cli.command_names():
        module = import_module(f"comparisons.commands.{name.replace('-', '_')}")
        monkeypatch.setattr(module, "__doc__", None)
    assert cli.main(["run", "--help"]) == 0
    assert capsys.readouterr().err == ""


def test_tasks_run_once_each_in_their_order():
    assert commands.chosen([]) == list(NAMES)
    assert commands.chosen(["mnist-cnn", "regression", "mnist-cnn"]) == ["regression", "mnist-cnn"]
    assert commands.chosen(["a.py", "all", "a.py"]) == [*NAMES, "a.py"]
