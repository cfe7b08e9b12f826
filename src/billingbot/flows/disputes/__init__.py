"""Disputes: answers to banks, drafted, read, sent once or given up; and their deadlines."""
