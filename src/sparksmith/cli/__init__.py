"""The command line: one small file a verb. Parse, call, show."""
