"""Client of TensorFlow Serving."""
