"""Looking inside a network: what it is made of, what it computes, and how it learns."""

from minigrad.inspect.anomaly import (
    AnomalyError as AnomalyError,
    detect_anomaly as detect_anomaly,
)
from minigrad.inspect.doctor import diagnose as diagnose
from minigrad.inspect.profiler import profile as profile
