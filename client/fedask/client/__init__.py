"""Runs on the device. Never imports the server."""
