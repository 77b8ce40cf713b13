"""Checks of the comparison itself: equal implementations, separate test sets, fair faces."""
