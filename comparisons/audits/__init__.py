"""What the figures rest on: equal implementations, test sets that were not seen, fair faces."""
