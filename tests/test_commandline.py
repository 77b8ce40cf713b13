"""How the commands end: with their status, and without a traceback when nobody reads on."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from minigrad.commandline import run


@pytest.mark.parametrize(("main", "status"), [
    (lambda: 0, 0), (lambda: 2, 2), (lambda: sys.exit(3), 3), (lambda: sys.exit("why"), "why")])
def test_the_status_is_that_of_main(main, status):
    with pytest.raises(SystemExit) as stop:
        run(main)
    assert stop.value.code == status


def test_ctrl_c_has_a_status_of_its_own():
    def main() -> int:
        raise KeyboardInterrupt
    with pytest.raises(SystemExit) as stop:
        run(main)
    assert stop.value.code == 130


@pytest.mark.parametrize("command", [
    ["minigrad", "reading"], ["minigrad.inspect", "summary", "xor"],
    ["minigrad.testing", "puzzle"]])
def test_a_reader_that_has_gone(command):
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run([sys.executable, "-m", *command], stdout=writer,
                           stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (1, "")
