"""Scores: how useful a label would be. One pure function per published score."""
