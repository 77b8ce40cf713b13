"""What a notebook shows for a Tensor or a Module."""

from __future__ import annotations

import base64
import struct
import zlib
from html import escape

import numpy as np

from minigrad.autograd import Array
from minigrad.inspect.encode import FULL, encoded
from minigrad.nn import Module
from minigrad.tensor import Tensor

WARM, COOL = (180, 89, 28), (11, 110, 105)      # positive and negative values


def tensor_html(x: Tensor) -> str:
    """Its shape and where it came from; its values, or a heat map of them with statistics."""
    notes = [f"<b>{' × '.join(map(str, x.shape)) or 'scalar'}</b>", str(x.dtype)]
    if x.node is not None:
        notes.append(f"made by {escape(x.node.name.lstrip('_'))}")
    elif x.requires_grad:
        notes.append("requires grad")
    content = _table(x.data) if x.data.size <= FULL and x.ndim <= 2 else _map(x.data)
    return f"<div><div>{', '.join(notes)}</div>{content}</div>"


def _table(values: Array) -> str:
    rows = values.reshape(-1, values.shape[-1] if values.ndim else 1)
    with np.errstate(invalid="ignore"):
        peak = float(np.abs(rows[np.isfinite(rows)].astype(np.float64)).max(initial=0.0)) or 1.0
    body = "".join("<tr>" + "".join(
        f"<td style='text-align:right;background:rgba({_colour(x)},{_strength(x, peak):.2f})'>"
        f"{x:.4g}</td>" for x in row) + "</tr>" for row in rows.tolist())
    return (f"<table style='font-family:monospace;font-size:12px;border-spacing:2px'>{body}"
            "</table>")


def _colour(x: float) -> str:
    return ",".join(map(str, WARM if x > 0 else COOL))


def _strength(x: float, peak: float) -> float:
    return 0.4 * min(1.0, abs(x) / peak) if np.isfinite(x) else 0.0


def _map(values: Array) -> str:
    if values.size <= FULL:
        return f"<pre>{escape(np.array2string(values, precision=4, separator=', '))}</pre>"
    entry = encoded(values)
    low, high, mean, deviation, _, zeros, odd = entry["stats"]
    count, height, width = entry["tiles"]
    cells = np.frombuffer(base64.b64decode(entry["map"]), np.uint8).reshape(count, height, width)
    zoom = max(1, min(6, (64 if count > 1 else 230) // max(height, width)))
    images = "".join(f"<img alt='heat map' style='image-rendering:pixelated;margin:2px;display:"
                     f"inline-block' width='{width * zoom}' height='{height * zoom}' src='"
                     f"{_png(tile)}'>" for tile in cells[:16])
    odd_ones = f", {odd} NaN or infinite" if odd else ""
    return (f"<div>{images}</div><div>min {low:.4g}, max {high:.4g}, mean {mean:.4g}, "
            f"std {deviation:.4g}, {100 * zeros:.3g}% zeros{odd_ones}</div>")


def _png(cells: Array) -> str:
    """A heat map as a picture: 128 is transparent, 255 warm, 1 cool; as `encode` has it."""
    strength = np.where(cells == 0, 0, np.abs(cells.astype(int) - 128) * 2).clip(0, 255)
    colours = np.where((cells >= 128)[..., None], WARM, COOL)
    pixels = np.concatenate([colours, strength[..., None]], -1).astype(np.uint8)
    lines = np.concatenate([np.zeros((len(pixels), 1), np.uint8),
                            pixels.reshape(len(pixels), -1)], 1)

    def chunk(name: bytes, data: bytes) -> bytes:
        return (struct.pack(">I", len(data)) + name + data
                + struct.pack(">I", zlib.crc32(name + data)))

    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 6, 0, 0, 0)
    png = (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
           + chunk(b"IDAT", zlib.compress(lines.tobytes())) + chunk(b"IEND", b""))
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def module_html(net: Module) -> str:
    """The tree of modules, which folds and unfolds, with the shapes of their parameters."""
    n = sum(p.numel() for p in net.parameters())
    mode = "training" if net.training else "evaluation"
    return f"<div>{_tree('', net)}<div>{n:,} parameters, in {mode} mode</div></div>"


def _tree(name: str, module: Module) -> str:
    children = "".join(_tree(key, child) for key, child in module.named_children())
    arguments = "" if children else module.extra_repr()
    own = "; ".join(f"{key} {'×'.join(map(str, p.shape)) or 'scalar'}"
                    for key, p in module.named_parameters(recurse=False))
    title = (f"{escape(name)} <b>{type(module).__name__}</b> "
             f"<span style='opacity:.7'>{escape(arguments)}{' · ' * bool(arguments and own)}"
             f"{escape(own)}</span>")
    indent = "style='margin-left:1.4em;font-family:monospace;font-size:12px'"
    if not children:
        return f"<div {indent}>{title}</div>"
    return f"<details open {indent}><summary>{title}</summary>{children}</details>"
