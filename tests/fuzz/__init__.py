"""Hostile input: what is read of strangers, of files and of containers, under bytes that nobody meant."""
