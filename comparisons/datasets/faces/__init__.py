"""Readers of faces in CK+'s own tree, in folders named after expressions, and in tables."""
