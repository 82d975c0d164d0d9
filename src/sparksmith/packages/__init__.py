"""What wheels and environments hold, and whether a target can run it."""
