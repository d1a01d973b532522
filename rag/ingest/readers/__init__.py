"""Turning files into documents: one module per format, found by the file's ending in ``registry``."""
