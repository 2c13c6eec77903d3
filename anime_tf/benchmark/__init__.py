"""Measured speed: of engines, of training, of the pipeline that feeds it, of films."""
