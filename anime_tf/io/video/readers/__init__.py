"""Readers of videos, one source a file."""
