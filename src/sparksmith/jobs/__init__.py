"""Processes: a Job is started here, and waited for. Standard library only."""
