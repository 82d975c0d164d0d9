"""Reading, checking, templating and tokenizing datasets. Reading needs neither torch nor a tokenizer."""
