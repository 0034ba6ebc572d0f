"""Oracles: what answers for a device without people at its desk."""
