"""Telling people: where notices go, by URL, and at what hours."""
