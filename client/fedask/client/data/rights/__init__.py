"""What may be done with a sample: provenance, the policy file, the rest of a source."""
