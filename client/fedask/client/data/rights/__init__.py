"""What may be done with a sample: its provenance, and the policy of the site."""
