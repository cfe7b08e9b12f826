"""Coming in: people, their way in, and out again."""
