"""The device's store in one SQLite file: a connection, and parts that share it."""
