"""Pages of documentation whose snippets are run."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent.parent / "docs"


def run_snippets(page: str) -> tuple[dict[str, Any], int]:
    """Run the page's `pycon` blocks, in order and in one namespace, and compare what they print.

    Returns the names that they have defined, and the number of blocks.
    Raises: AssertionError, with doctest's report, if anything else is printed than is shown.
    """
    snippets = re.findall(r"```pycon\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.S)
    names: dict[str, Any] = {}
    said: list[str] = []
    for i, snippet in enumerate(snippets):
        test = doctest.DocTestParser().get_doctest(snippet, names, f"snippet {i}", page, 0)
        test.globs = names                              # what one defines, the next may use
        doctest.DocTestRunner(verbose=False).run(test, out=said.append, clear_globs=False)
    assert "".join(said) == ""
    return names, len(snippets)
