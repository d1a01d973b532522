"""What several processes share through Redis. Everything works without it; nothing that matters is kept there alone."""
