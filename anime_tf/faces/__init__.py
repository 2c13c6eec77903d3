"""Faces: found, aligned, stylised apart, pasted back."""
