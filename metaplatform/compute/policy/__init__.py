"""The loop's decisions, as pure functions of the book, of what is known, and of ``now``."""
