"""The pages: plain files, no build step, nothing from other hosts."""
