"""Three ways to run the same two apps: in this process, on Ray, on SuperNodes."""
