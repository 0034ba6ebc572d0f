"""The store of a device: a sealed SQLite file, or memory."""
