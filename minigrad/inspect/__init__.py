"""Looking inside a network: what it is made of, what it computes, and how it learns.

    summary(net, x)             a table of its layers: sizes, multiply-adds, memory, time
    draw(net, x)                a picture of its graph
    step_through(loss, x)       a page that goes through the backward pass a vertex at a time
    watch(net, optimizer)       a page that shows a training while it runs
    profile(step)               where a training step spends time and memory
    detect_anomaly()            names the first NaN or infinity, and where it came from
    diagnose(net, loss_fn, batch)   says what is wrong with a training, and what to try

`python -m minigrad.inspect playground` opens a page on which a perceptron learns while one changes
it (playground/).

The functions are observers (minigrad/observer.py) of a network that runs as it is. places.py knows
in which module and at which line of a program an op runs, recording.py writes down all that ran,
and untouched.py leaves the network as it was. server.py is a web server for live pages, and pages/
holds what all pages share.
"""

from minigrad.inspect.anomaly import (
    AnomalyError as AnomalyError,
    detect_anomaly as detect_anomaly,
)
from minigrad.inspect.doctor import diagnose as diagnose
from minigrad.inspect.draw import Drawing as Drawing, draw as draw
from minigrad.inspect.profiler import profile as profile
from minigrad.inspect.step_through import StepThrough as StepThrough, step_through as step_through
from minigrad.inspect.summary import Summary as Summary, summary as summary
from minigrad.inspect.watch import Watching as Watching, watch as watch
