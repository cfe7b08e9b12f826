"""A local Stripe: stateful, over HTTP, with a clock, signed webhooks and faults, to try a refund policy on."""
