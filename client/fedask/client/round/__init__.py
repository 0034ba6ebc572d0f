"""A round on one device: ask, score, train, report."""
