"""Labelling: people get samples and give annotations, on a page, in apps, in files."""
