"""The samples of a device: where they are read, what may be done with them."""
