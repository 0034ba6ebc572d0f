"""Records that the rooms of the device share, and the seams that keep them."""
