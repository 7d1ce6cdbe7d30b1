"""The embedded language model, from nothing: corpus, tokenizer, training and evaluation."""
