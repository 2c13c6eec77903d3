"""Pictures on the way into and out of the networks: files, folders, films, training batches."""
