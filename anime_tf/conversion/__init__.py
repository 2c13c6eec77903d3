"""Legacy weights to `.keras` archives."""
