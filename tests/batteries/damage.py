"""Seeded damage to files: what disks and editors do, and what somebody does on purpose."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

EXTREMES = (b"\x00", b"\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\x80\x00\x00\x00",
            b"\x00\x00\x00\x00\x00\x00\x00\x80")
WORDS = (b"", b"-1", b"0", b"1e999", b"9" * 5000, b"NaN", b"-Infinity", b"null", b"true", b'"x"',
         b"[", b"[" * 3000, b'{"a":' * 2000, b"{}", b"[]", b"1.5", b"18446744073709551616",
         b"../../etc/passwd", b"<script>", b"%s{0}", b"\xff\xfe", b"\x00", b"\r", b"\n", b'"', b"'",
         b",", b";", b"\xe2\x80\xa8", b"\xed\xa0\x80", b"a" * 100_000)
TOKEN = re.compile(rb"-?\d+(?:\.\d+)?(?:e-?\d+)?|\"[^\"]*\"|[A-Za-z_]\w*|[\[\]{},:;()=]")


def damaged(rng: random.Random, content: bytes, text: bool) -> bytes:
    """The content with one to three kinds of damage, and never as it was."""
    changed = content
    while changed == content:
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            kinds = (*BYTES, *TEXT, *TEXT, *TEXT) if text else BYTES
            changed = rng.choice(kinds)(rng, changed)
    return changed


def somewhere(rng: random.Random, content: bytes) -> int:
    """A place, as often in the first bytes, where a header is, as in all others."""
    return rng.randrange(max(1, min(64, len(content)) if rng.random() < 0.5 else len(content)))


def flip(rng: random.Random, content: bytes) -> bytes:
    changed = bytearray(content or b"\0")
    changed[somewhere(rng, changed)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(rng: random.Random, content: bytes) -> bytes:
    return content[:rng.randrange(len(content) + 1)]


def drop(rng: random.Random, content: bytes) -> bytes:
    at = somewhere(rng, content)
    return content[:at] + content[at + rng.randrange(1, 50):]


def insert(rng: random.Random, content: bytes) -> bytes:
    at = somewhere(rng, content)
    return content[:at] + rng.randbytes(rng.randrange(1, 50)) + content[at:]


def repeat(rng: random.Random, content: bytes) -> bytes:
    at = somewhere(rng, content)
    part = content[at:at + rng.randrange(1, 200)]
    return content[:at] + part * rng.randrange(2, 5) + content[at + len(part):]


def overwrite(rng: random.Random, content: bytes) -> bytes:
    at, new = somewhere(rng, content), rng.choice((*EXTREMES, rng.randbytes(4), b"\0" * 512))
    return content[:at] + new + content[at + len(new):]


def append(rng: random.Random, content: bytes) -> bytes:
    return content + rng.choice((b"\0", b"\n", rng.randbytes(100), content))


def another_word(rng: random.Random, content: bytes) -> bytes:
    """A number, a name or a sign becomes something else."""
    found = list(TOKEN.finditer(content))
    if not found:
        return content
    old = rng.choice(found)
    new = rng.choice((*WORDS, rng.choice(found)[0], rng.choice(found)[0]))
    return content[:old.start()] + new + content[old.end():]


def no_line(rng: random.Random, content: bytes) -> bytes:
    """A line is missing, there twice, or elsewhere."""
    lines = content.splitlines(keepends=True) or [b""]
    line = lines.pop(rng.randrange(len(lines)))
    for _ in range(rng.randrange(3)):
        lines.insert(rng.randrange(len(lines) + 1), line)
    return b"".join(lines)


Damage = Callable[[random.Random, bytes], bytes]
BYTES: tuple[Damage, ...] = (flip, flip, cut, drop, insert, repeat, overwrite, overwrite, append)
TEXT: tuple[Damage, ...] = (another_word, another_word, no_line)
