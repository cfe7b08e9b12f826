"""The torture test: everything breaks at once, for minutes, and afterwards the books are compared with Stripe's."""
