"""What can go wrong when a network is exported."""

from __future__ import annotations


class ExportError(Exception):
    """A network that cannot be exported: what, where in the network, and why."""


class NotDynamic(Exception):
    """The graph would hold for this batch size only; the message says why."""
