"""The coordinates of a drawing: where everything stands, given which boxes are folded.

`place.js` does the same in the drawing itself, when a box is folded or unfolded there.
"""

from __future__ import annotations

from itertools import pairwise

from minigrad.inspect.layout import Box, Item, Link

GAP = 26.0              # between neighbours in a row
ROW = 40.0              # between rows, with room for a shape
SIDE, HEAD = 16.0, 30.0     # around the content of a box, and above it
STRAIGHT = 13.0        # of these, an edge is straight beside the shape
SWEEPS = 6


def place(box: Box) -> tuple[float, float]:
    """Set x and y of all items, and w and h of boxes; returns the size of this one."""
    if not box.open:
        return box.size
    for item in box.items:
        if item.box is not None:
            item.w, item.h = place(item.box)
    y = HEAD if box.call else SIDE
    for i, row in enumerate(box.rows):
        height = max(item.h for item in row if item.kind != "bend")
        ports = row[0].kind in ("in", "out")
        for item in row:
            if item.kind == "bend":
                item.h = height
            item.y = 0.0 if item.kind == "in" else y + (height - item.h) / 2
        y += height + (ROW if i + 1 < len(box.rows) and not (ports and i == 0) else 0.0)
    _set_columns(box)
    left = min(item.x - item.w / 2 for item in box.items) - SIDE
    right = max(max(item.x + item.w / 2, item.x + item.label) for item in box.items) + SIDE
    width = max(right - left, box.size[0])
    shift = (width - (right - left)) / 2 - left
    for item in box.items:
        item.x += shift
    ends_in_ports = box.rows[-1][0].kind == "out"
    height = y if ends_in_ports else y + SIDE
    for item in box.rows[-1]:
        if item.kind == "out":
            item.y = height
    return width, height


def _set_columns(box: Box) -> None:
    above: dict[Item, list[Link]] = {item: [] for item in box.items}
    below: dict[Item, list[Link]] = {item: [] for item in box.items}
    for link in box.links:
        above[link.b].append(link)
        below[link.a].append(link)
    for item in box.items:
        item.x = 0.0
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for row in box.rows if down else box.rows[::-1]:
            wanted = []
            for item in row:
                ends = [link.a.x + leaves(link) - enters(link) for link in above[item]] if down \
                    else [link.b.x + enters(link) - leaves(link) for link in below[item]]
                wanted.append(sum(ends) / len(ends) if ends else item.x)
            for item, x in zip(row, spread(row, wanted), strict=True):
                item.x = x


def spread(row: list[Item], wanted: list[float]) -> list[float]:
    """The places closest to those wanted, in the sum of the squares, at which no item of the row
    overlaps the one before it."""
    offsets = [0.0]
    for a, b in pairwise(row):
        offsets.append(offsets[-1] + max(a.w / 2, a.label) + GAP + b.w / 2)
    blocks: list[tuple[float, int]] = []        # the means of neighbours that touch; how many
    for offset, x in zip(offsets, wanted, strict=True):
        mean, count = x - offset, 1
        while blocks and blocks[-1][0] > mean:
            other, others = blocks.pop()
            mean, count = (mean * count + other * others) / (count + others), count + others
        blocks.append((mean, count))
    means = [mean for mean, count in blocks for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


def leaves(link: Link) -> float:
    """Where a link leaves its first item, from its centre."""
    return _along(link.a, link.out, ("out", link))


def enters(link: Link) -> float:
    """Where a link arrives at its second item, from its centre."""
    return _along(link.b, link.into, ("in", link))


def _along(item: Item, place: tuple[int, int], port: tuple[str, Link]) -> float:
    if item.box is not None and item.box.open:
        return item.box.ports[port[0], port[1].tensor].x - item.w / 2
    return item.w * ((place[0] + 1) / (place[1] + 1) - 0.5)
