"""Quality scores of an answer, one file each, computed when it is given."""
