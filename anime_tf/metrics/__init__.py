"""Measures of pictures and videos: similarity, style, content, flicker."""
