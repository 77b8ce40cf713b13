"""Faces of persons who do not exist: the generator, the renderer, and the writer of files."""
