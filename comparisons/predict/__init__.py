"""Applies trained networks to pictures: on the command line, and on a local web page."""
