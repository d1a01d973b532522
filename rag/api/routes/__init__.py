"""The routes, one file per resource. Plain ``def``: models and SQL block, and FastAPI runs these in threads."""
