"""What is kept and passed between rooms: records, and the seams that keep them."""
