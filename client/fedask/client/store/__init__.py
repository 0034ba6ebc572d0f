"""What a device keeps: in a sealed SQLite file, or in memory."""
