"""Papers: what is printed for banks, as PDF without a browser; the same text gives the same bytes."""
