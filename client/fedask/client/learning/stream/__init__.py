"""Decides sample by sample, on arrival, whether to ask."""
