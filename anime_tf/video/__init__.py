"""Stylization of videos: pipeline, stabilizer, resuming."""
