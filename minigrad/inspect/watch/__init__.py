"""A page on which one watches a training: watching.py decides when to look, capture.py looks at a
step, history.py and training.py keep what was seen, and page.py shows it."""

from minigrad.inspect.watch.watching import Watching as Watching, watch as watch
