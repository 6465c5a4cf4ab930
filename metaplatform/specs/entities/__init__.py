"""The entities of the book: a module a chapter, with its fields and the facts each kind tells of itself."""
