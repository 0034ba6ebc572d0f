"""The model on the device: lessons, descent, warm-up, weak and automatic labels."""
