"""What is wrong with a machine or an environment, what an error means, and how either is mended; no torch."""
