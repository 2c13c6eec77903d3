"""Writers of videos, one target a file."""
