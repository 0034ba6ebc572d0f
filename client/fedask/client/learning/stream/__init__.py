"""Whether a sample that has just arrived is worth a label."""
