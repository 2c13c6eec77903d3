"""Engines: one runtime a file; `factory` knows them all."""
