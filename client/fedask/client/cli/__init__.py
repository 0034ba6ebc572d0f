"""``fedask device``: what an owner does with a device."""
