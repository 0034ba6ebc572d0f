"""Small tools without a word of the domain: settings, private files, distances."""
