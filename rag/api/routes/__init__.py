"""The routes, one file per resource. Plain ``def``, run in threads by FastAPI, but for those that answer."""
