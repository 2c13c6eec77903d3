"""Training: config and presets, the compiled steps, the loop, and the run directory."""
