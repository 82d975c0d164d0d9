"""What is shown: read from a run's folder and from results, never computed here."""
