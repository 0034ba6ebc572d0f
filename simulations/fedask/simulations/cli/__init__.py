"""The commands of the ``fedask`` program, one module each."""
