"""The book as relational tables: which table and column holds what, and the way there and back."""
