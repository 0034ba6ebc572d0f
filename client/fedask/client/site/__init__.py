"""The place where a device stands: its folder, its settings, what they open."""
