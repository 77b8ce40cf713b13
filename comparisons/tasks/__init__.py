"""The tasks: everything that defines a system, written once for both implementations."""
