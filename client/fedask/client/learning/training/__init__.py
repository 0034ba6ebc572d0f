"""Training on the device: jobs, SGD steps, warm-up, many devices at once."""
