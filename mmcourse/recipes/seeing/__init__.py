"""A language model that sees, and talking with it about a picture."""
