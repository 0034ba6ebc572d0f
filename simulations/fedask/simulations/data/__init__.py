"""Labelled data sets that simulations deal out to devices."""
