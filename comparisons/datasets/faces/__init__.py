"""Readers of faces: CK+'s own tree, folders named after expressions, and tables."""
