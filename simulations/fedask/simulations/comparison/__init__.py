"""Several arms over the same seeds, and what they show."""
