"""`reproduce`: its manifest holds the pages' numbers and tables, and it finds what differs.

The commands that take seconds are run here, in this process; the others on demand.
"""

from __future__ import annotations

import contextlib
import fnmatch
import io
import re
from pathlib import Path

import pytest
from running import one_line

from comparisons import cli
from comparisons.audits import reproduce
from comparisons.audits.reproduce import ROOT, Command, Figure, bare, equal, plain
from minigrad.testing import __main__ as testing

KNOWN = reproduce.manifest()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
TABLE = re.compile(r"(?:^\|.*\|\n)+", re.M)
COMMAND = re.compile(r"(\$ )?(python|pip|pytest|ruff|torchrun|pre-commit) ")
RUN_HERE = ["exact", "leakage", "mutate"]


def here(words, folder):
    """In place of a process: the command in this one."""
    printed = io.StringIO()
    main = {"comparisons": cli.main, "minigrad.testing": testing.main}[words[2]]
    with contextlib.redirect_stdout(printed), contextlib.chdir(folder):
        status = main(words[3:])
    return status, printed.getvalue()


@pytest.mark.parametrize("name", RUN_HERE)
def test_numbers_that_take_seconds_are_those_of_the_pages(name):
    assert KNOWN.of(name)
    assert reproduce.check(KNOWN.commands[name], KNOWN.of(name), run=here) == []


@pytest.mark.parametrize("figure", KNOWN.figures, ids=lambda f: f"{f.page}: {f.numbers[0]}")
def test_every_number_stands_on_the_page_that_it_names(figure):
    assert figure.missing() == []
    assert figure.because
    assert set(figure.commands) <= KNOWN.commands.keys()
    assert figure.numbers
    places = [re.findall(r"\{.*?\}", line) for line in figure.printed or figure.lines]
    assert len(figure.numbers) == sum(map(len, places))


@pytest.mark.parametrize("command", KNOWN.commands.values(), ids=lambda c: c.name)
def test_every_command_is_one_that_its_page_shows_and_its_program_takes(command):
    assert KNOWN.of(command.name)
    assert not command.data or all(re.search(rf"\s{re.escape(command.data)}(\s|$)", line)
                                   for line in command.run if "--data" in line)
    for words in command.words(Path("data")):
        assert words[:2] == ["python", "-m"]
        if words[2] == "comparisons":
            cli.parser(words[3:] or ["run", "all"]).parse_args(words[3:] or ["run", "all"])
    for page in {figure.page for figure in KNOWN.of(command.name)} & {"README.md"}:
        text = plain((ROOT / page).read_text("utf-8"))
        part = command.name in ("exact", "ck-leakage")      # of another, or with DIR for its data
        assert part or plain(command.run[0]) in text, command.run


# ---- no table is forgotten -----------------------------------------------------------------------

def tables(text):
    """The tables with numbers, and the outputs that are shown: the head and the lines of each."""
    for word, block in FENCED.findall(text):
        lines = [line for line in block.splitlines() if line.strip()]
        if word in ("", "text") and not all(COMMAND.match(line) for line in lines):
            below = next((i + 1 for i, line in enumerate(lines) if not line.strip("─ ")), 0)
            yield lines[0], [line for line in lines[below:] if not COMMAND.match(line)]
    for match in TABLE.findall(FENCED.sub("", text)):
        head, _, *rows = match.splitlines()
        yield head, rows


def forgotten(page, text, known=KNOWN):
    """The rows with numbers that the manifest neither checks nor names among what is outside."""
    shown = [plain(bare(line)) for figure in known.figures if figure.page == page
             for line in figure.lines]
    outside = [entry for entry in known.outside
               if any(fnmatch.fnmatch(page, pattern) for pattern in entry.pages)]
    return [row for head, rows in tables(text)
            if not any(entry.holds in head for entry in outside)
            for row in rows if re.search(r"\d", row)
            and not any(line in plain(row) for line in shown)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_table_of_results_is_outside_of_the_manifest(page):
    assert forgotten(page.relative_to(ROOT).as_posix(), page.read_text("utf-8")) == []


def test_a_new_table_would_be_noticed():
    new = "\n| | accuracy |\n|---|---|\n| mine | 99.9% |\n"
    assert forgotten("docs/dexpression.md", new) == ["| mine | 99.9% |"]
    assert forgotten("README.md", "```\n$ python -m comparisons gates\npixels 1%\n```\n") == [
        "pixels 1%"]
    assert forgotten("README.md", "| task | seconds |\n|---|---|\n| mine | none |\n") == []


@pytest.mark.parametrize("entry", KNOWN.outside, ids=lambda e: f"{e.pages[0]} {e.holds}")
def test_what_is_outside_is_there_and_has_a_reason(entry):
    assert entry.reason
    for pattern in entry.pages:
        pages = [page for page in PAGES
                 if fnmatch.fnmatch(page.relative_to(ROOT).as_posix(), pattern)]
        assert pages
        assert any(entry.holds in head for page in pages
                   for head, _ in tables(page.read_text("utf-8"))) or not entry.holds
    for test in re.findall(r"tests/\S+\.py", entry.reason):
        assert (ROOT / test).is_file()


# ---- what differs is found -----------------------------------------------------------------------

@pytest.mark.parametrize(("shown", "printed", "within", "same"), [
    ("76.82%", "76.82", 0, True), ("76.82%", "76.83", 0, False), ("76.82%", "76.83", 0.01, True),
    ("95.0%", "95.04", 0, True), ("95.0%", "95.06", 0, False), ("95%", "95.0", 0, True),
    ("1,234", "1234", 0, True), ("2e-5", "2e-05", 0, True), ("2e-5", "3e-05", 0, False),
    ("3.1e-15", "4.7e-15", 0, False), ("3.1e-15", "4.7e-15", 1e-12, True),
    ("-0.5", "0.5", 0, False), ("0", "0.0", 0, True), ("10", "100", 0, False)])
def test_numbers_are_compared_as_they_are_shown(shown, printed, within, same):
    assert equal(shown, printed, within) is same


FIGURE = Figure("README.md", ["x"], "one   {1.5%} two {2.5}", 0.1, "chance")


@pytest.mark.parametrize(("output", "told"), [
    ("one 1.5% two\n 2.5", []), ("one 1.6% two 2.4", []), ("one 1.7% two 2.5", ["1.7 is printed"]),
    ("one 1.7% two 2.7", ["1.7 is printed", "2.7 is printed"]), ("two 2.5", ["has no “one 1.5%"])])
def test_differences_are_told_with_the_reason(output, told):
    found = FIGURE.differences(output)
    assert len(found) == len(told)
    for sentence, words in zip(found, told, strict=True):
        assert words in sentence


def test_lines_are_looked_for_in_their_order():
    twice = Figure("README.md", ["x"], "{1} and {2}", 0, "", printed=["a {} … b", "a * {}"])
    assert twice.differences("a 1 b\na x 2") == twice.differences("a 1 x  y b\nthen a 7% 2") == []
    assert len(twice.differences("a 2 b\na x 1")) == 2


def test_other_data_and_a_failure_are_differences(tmp_path):
    (tmp_path / "table.csv").write_text("other")
    command = Command("x", ["python -m x DIR"], 1, 0, "a table", "DIR",
                      {"table.csv": "0" * 64, "none.csv": "0" * 64})
    words = []

    def fails(given, folder):
        words.extend(given)
        return 3, "one 1.5 two 2.5"
    found = reproduce.check(command, [FIGURE], tmp_path, fails)
    assert words == ["python", "-m", "x", str(tmp_path)]
    assert [line.partition(": ")[2] for line in found[:2]] == [
        "other data than those of the numbers (by SHA-256)",
        "not found, so its checksum was not compared"]
    assert found[2].endswith("ended with status 3")
    assert len(found) == 3


# ---- the command ---------------------------------------------------------------------------------

def test_the_command_says_what_differs_and_ends_with_1(monkeypatch, capsys):
    def printed(words, folder):
        return 0, "11 mutants of 1 op; 10 caught; 0 declared; 1 escaped"
    assert reproduce.main(["mutate"], False, None, printed) == 1
    out = capsys.readouterr().out
    assert "README.md: 11: 10 is printed" in out
    assert "2 of 5 numbers differ" in out
    monkeypatch.setattr(reproduce, "run", here)
    assert reproduce.main(["mutate"], False, None, here) == 0
    assert "all 5 numbers are as shown" in capsys.readouterr().out


def test_without_a_name_it_runs_what_needs_no_data(capsys):
    ran = []

    def nothing(words, folder):
        ran.append(words)
        return 0, ""
    assert reproduce.main([], True, None, nothing) == 1
    assert len(ran) == len([c for c in KNOWN.commands.values() if c.seconds < 60 and not c.data])
    assert "not run: " in capsys.readouterr().out
    ran.clear()
    assert reproduce.main([], False, None, nothing) == 1
    assert not [words for words in ran if "--data" in words]


def test_the_list_and_what_is_refused(tmp_path, capsys):
    assert cli.main(["reproduce", "--list"]) == 0
    out = capsys.readouterr().out
    for words in (*KNOWN.commands, "left out:", "speeds, which depend"):
        assert words in out
    for words, told in ((["nothing"], "unknown name 'nothing'; choose from exact"),
                        (["full-mnist"], "full-mnist: needs --data"),
                        (["exact", "--data", str(tmp_path)], "--data: name the command"),
                        (["full-mnist", "ck-person", "--data", "x"], "different data"),
                        (["exact", "--quick"], "--quick and --list take no NAME")):
        assert cli.main(["reproduce", *words]) == 2
        assert told in one_line(capsys)
    assert cli.main(["reproduce", "full-mnist", "--data", str(tmp_path / "none")]) == 1
    assert "no such file or folder" in one_line(capsys)
