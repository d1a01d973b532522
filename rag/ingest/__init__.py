"""From files and SQL rows to stored, deduplicated, split and embedded documents."""
