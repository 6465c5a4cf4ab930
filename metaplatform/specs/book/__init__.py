"""The book as a whole: the manifest, and what follows from it."""
