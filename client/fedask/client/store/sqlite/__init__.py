"""The device's one SQLite file: tables, keys, what is sealed, erasure."""
