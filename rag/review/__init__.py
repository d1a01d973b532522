"""What the log teaches: how far reviewers agree, what has changed over time, and training data."""
