"""Runtimes that run a generator."""
