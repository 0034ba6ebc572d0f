"""Who is asked: one class per policy, device half and server half side by side."""
