"""The parts of a report: curves, numbers as text, sentences, drawing, page."""
