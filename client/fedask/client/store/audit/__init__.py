"""What was done with which sample: a hash-chained log, and its check."""
