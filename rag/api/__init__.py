"""REST: routes, schemas, problem documents; and the pages of ``rag.web``."""
