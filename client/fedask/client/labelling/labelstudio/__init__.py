"""Exchange with other labelling tools: samples go out to them, verdicts come in."""
