"""Whether a device may train now."""
