"""Faces of persons who do not exist: the generator, its renderer, and the writer of files."""
