"""The messages of ``fedask.labelling.v1``, generated from ``labelling.proto``."""
