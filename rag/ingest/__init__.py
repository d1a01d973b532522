"""From files to stored, deduplicated, split and embedded documents."""
