"""What a round trains on: people's labels, and beside them weak and automatic ones."""
