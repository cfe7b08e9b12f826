"""The books: months closed and signed, exports, and the file of one case."""
