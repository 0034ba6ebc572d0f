"""One run of one scenario, from its settings to its result."""
