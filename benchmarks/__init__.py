"""Measured speed of engines, training and video; not part of the wheel."""
