"""billingbot: the refund desk that runs itself."""
