"""1,000 seeded corruptions of each format: refused in one line, or read as what they say.

Everything runs in this process. A refusal names the file; nothing takes a second of computing or
300 MB of memory; where a format has a check, nothing that was changed is accepted.
"""

from __future__ import annotations

import contextlib
import io
import random
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from batteries import Part, number
from batteries.damage import damaged
from batteries.formats import Format, formats
from comparisons.errors import Fault
from comparisons.training import environment
from minigrad.checkpoint import CheckpointError

SAMPLE = 0.02
WHOLE = 1000
SECONDS, MEGABYTES = 1.0, 300


def parts(share: float, seed: int) -> Iterator[Part]:
    with tempfile.TemporaryDirectory() as folder:
        for kind in formats(Path(folder)):
            yield of_format(kind, Path(folder), number(share, WHOLE), seed)


def of_format(kind: Format, folder: Path, n: int, seed: int) -> Part:
    """Try a format: its sound samples, the hostile ones, and n damaged ones."""
    part, rng = Part(kind.name), random.Random(f"{kind.name} {seed}")
    accepted = 0

    def tried(content: bytes, what: str) -> object:
        part.tried += 1
        found, fault = once(kind, folder, content)
        if fault:
            part.faults.append(f"{what}: {fault}")
        return found
    sound = [tried(content, "a sound file") for content in kind.samples]
    part.faults += [f"sound file {i} was refused" for i, found in enumerate(sound)
                    if found is REFUSED]
    for i, content in enumerate(kind.hostile):
        if tried(content, f"hostile file {i}") is not REFUSED:
            part.faults.append(f"hostile file {i} was accepted")
    for i in range(n):
        k = rng.randrange(len(kind.samples))
        found = tried(damaged(rng, kind.samples[k], kind.text), f"damaged file {i}")
        accepted += found is not REFUSED
        if kind.check and found is not REFUSED and found != sound[k]:
            part.faults.append(f"damaged file {i}: accepted with another content, in spite of "
                               f"{kind.check}")
    part.note = f"{accepted:,} of {n:,} damaged ones accepted" + (
        f", unchanged ({kind.check})" if kind.check else "; the format has no check")
    return part


REFUSED = object()


def once(kind: Format, folder: Path, content: bytes) -> tuple[object, str]:
    """What a file is read as, or REFUSED; and what was wrong with how it was read."""
    path = folder / "file.bin"
    path.write_bytes(content)
    environment.reset_peak_rss()
    held, began = environment.rss_mb(), time.process_time()
    found, fault, said = REFUSED, "", io.StringIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(said):
            warnings.simplefilter("error")
            found = kind.read(path)
    except (Fault, CheckpointError) as error:
        line = str(error)
        if "\n" in line or len(line) > 1000:
            fault = f"not one short line: {line[:200]!r}"
        elif not any(name in line for name in ("file.bin", "results.json", "details.json")):
            fault = f"the file is not named: {line}"
    except BaseException as error:
        fault = f"{type(error).__name__}: {str(error)[:200]!r}"
    if (seconds := time.process_time() - began) > SECONDS:
        fault = fault or f"took {seconds:.1f} s"
    if (grown := environment.peak_rss_mb() - held) > MEGABYTES:
        fault = fault or f"took {grown:.0f} MB"
    return found, fault
