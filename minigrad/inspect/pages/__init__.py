"""What the pages share: how they look (theme.css), what their scripts do alike (common.js), and how
live ones ask their server (request.js)."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent


def filled(page: Path, **parts: str) -> str:
    """The page in a file, with what each `<!--name-->` of it stands for: one of `parts`, or a file
    that lies here or beside the page.

    `<!--theme.css-->` is the file theme.css. What is put in is not looked through again, so that
    nothing in it can stand for anything else.
    Raises: FileNotFoundError if a name is neither a part nor a file.
    """
    def stands_for(mark: re.Match[str]) -> str:
        name = mark[1]
        if name in parts:
            return parts[name]
        shared = HERE / name
        return (shared if shared.exists() else page.with_name(name)).read_text("utf-8")

    return re.sub(r"<!--([\w.]+)-->", stands_for, page.read_text("utf-8"))
