"""Observes the machine and changes nothing; no torch. Everything is read under a root, so that a copy can be read too."""
