"""Which k of a shortlist to ask together."""
