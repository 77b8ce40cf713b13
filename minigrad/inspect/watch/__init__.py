"""A page on which one watches a training: watching.py decides when to look, capture.py looks at a
step, history.py keeps what was seen, and server.py shows it."""

from minigrad.inspect.watch.watching import Watching as Watching, watch as watch
