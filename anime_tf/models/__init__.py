"""The networks, one a file, named after their papers; they know no losses and no training."""
