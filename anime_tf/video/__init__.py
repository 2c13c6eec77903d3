"""Stylising films, sound kept."""
