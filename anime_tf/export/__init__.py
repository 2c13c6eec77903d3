"""Generators as SavedModels and TFLite models, for use without this package."""
