"""Which samples are worth a person's time: scores, the cut, the stream."""
