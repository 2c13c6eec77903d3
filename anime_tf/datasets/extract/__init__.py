"""Style pictures from videos: shots, letterbox, duplicates, quality, crops."""
