"""The in-house reader: one model that finds, writes and traces the answer to a question in its passages."""
