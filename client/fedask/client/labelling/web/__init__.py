"""The labelling page: where the people of a device give answers in a browser."""
