"""The keys of a device, and what they seal."""
