"""The networks, one per file, named after their papers: their definition in Keras layers."""

PACKAGE = "anime_tf"  # package name under which Keras registers layers and networks
