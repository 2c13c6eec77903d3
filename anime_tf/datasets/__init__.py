"""Training data: batches, edge smoothing, checks."""
