"""Records: what stands in a run's folder, written by the Job and read by everything that shows it. Standard library only."""
