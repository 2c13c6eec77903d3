"""Lowerings: networks as a runtime computes them fastest, with the results of the reference."""
