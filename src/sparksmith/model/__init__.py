"""The one way to make a model, its tokenizer, adapter, optimizer and loss, and to generate. No trainer is imported."""
