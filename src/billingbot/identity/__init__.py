"""Who somebody is by the word of others: the company's own sign-in."""
