"""A device's folder: its settings, and the store, data and desk that they open."""
