"""What is known, as data: each row with its source and its date. Standard library only."""
