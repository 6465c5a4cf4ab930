"""The entities of the book: a module per chapter, with its fields and the facts each kind tells of itself."""
