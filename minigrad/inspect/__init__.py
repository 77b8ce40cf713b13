"""Looking inside a network: what it is made of, what it computes, and how it learns."""

from minigrad.inspect.draw import Drawing as Drawing, draw as draw
from minigrad.inspect.step_through import StepThrough as StepThrough, step_through as step_through
from minigrad.inspect.summary import Summary as Summary, summary as summary
