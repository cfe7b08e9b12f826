"""The books of a month: what Stripe moved, what we wrote, and where they differ."""
