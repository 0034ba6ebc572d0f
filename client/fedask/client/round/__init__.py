"""One train message on one device: ask, score, train, report."""
