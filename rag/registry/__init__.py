"""The model registry: weights that come with the database, so that a process needs nothing but its URL."""
