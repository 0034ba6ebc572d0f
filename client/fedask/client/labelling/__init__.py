"""People answer: the queue, the desk that gives samples and takes annotations."""
