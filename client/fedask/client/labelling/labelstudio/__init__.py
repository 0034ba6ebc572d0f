"""Exchange with other labelling tools: samples go out to them, answers come in."""
