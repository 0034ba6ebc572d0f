"""Runs at the coordinator. Never imports the client; never sees a sample."""
