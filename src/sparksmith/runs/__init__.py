"""Records: what stands in a run's folder, written by the Job, read by what shows it. Standard library only."""
