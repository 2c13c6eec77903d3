"""Generators as SavedModels, TFLite models and ONNX models, for use without this package."""
