"""Tools that know nothing of labels: files, threads, distances, addresses."""
