"""Losses as pure functions of tensors: float32 inside, no weights, no summaries."""
