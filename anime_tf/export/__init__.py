"""Export of generators as SavedModel, TFLite and ONNX models."""
