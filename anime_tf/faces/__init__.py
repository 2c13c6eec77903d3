"""Faces: detection, alignment, stylization on their own, and blending into the picture."""
