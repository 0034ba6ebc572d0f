"""Selection: which samples of the pool are asked, by scores and the cut."""
