"""The HTTP doors: Stripe's webhooks, the API, health and metrics; they call verbs and hold no rules."""
