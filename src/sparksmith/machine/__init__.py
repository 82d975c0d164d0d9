"""Observes the machine and changes nothing; no torch. Files are read under a root, so that a copy can be read too."""
