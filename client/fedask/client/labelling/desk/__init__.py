"""Where people get samples and where their annotations are taken in."""
