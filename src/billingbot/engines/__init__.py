"""A private PostgreSQL and a private Valkey for one machine, and the supervisor behind `billingbot up`."""
