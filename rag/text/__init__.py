"""Cleaning text, finding sentences, splitting into passages, normalising answers; knows nothing of files or storage."""
