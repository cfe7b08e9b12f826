"""What billingbot's speed is measured by, next to what; method and last figures in README.md."""
