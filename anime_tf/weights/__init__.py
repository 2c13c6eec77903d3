"""Generators on disk: archives, built-in styles, legacy checkpoints."""
