"""Simulated devices and the people beside them."""
