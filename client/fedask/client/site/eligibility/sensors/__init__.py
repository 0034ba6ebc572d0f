"""Sensors of the machine: power, load, network, heat, disk and time of day."""
