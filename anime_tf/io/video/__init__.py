"""Video readers and writers."""
