"""Pictures through a generator that a server runs."""
