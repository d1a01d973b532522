"""A small transformer library in plain torch. It knows token ids and tensors; it knows nothing of documents."""
