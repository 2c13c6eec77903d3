"""Scripts that made the built-in styles; not part of the wheel."""
