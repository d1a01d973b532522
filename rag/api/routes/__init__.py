"""The routes, one file per resource. Plain ``def``, but for those that answer: they watch whether their caller is there."""
