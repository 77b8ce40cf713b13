"""A sample of each section of tests/battery.py; the whole is run by hand, in minutes."""

from pathlib import Path

import pytest
from batteries import sections


@pytest.mark.parametrize("name", [name for name, section in sections().items() if section.SAMPLE])
def test_a_sample(name, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "comparisons"))    # its parts are used
    section = sections()[name]
    tried = 0
    for part in section.parts(section.SAMPLE, seed=0):
        assert not part.faults, f"{part.name}: {part.faults[0]}"
        tried += part.tried
    assert tried
