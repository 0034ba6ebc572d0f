"""Batchers: which k samples of a shortlist are asked together."""
