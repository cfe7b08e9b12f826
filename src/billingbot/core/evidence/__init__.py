"""What Stripe, sources, support and our own records say of a charge, and how facts are made of it."""
