"""A run or a model over a dataset."""
