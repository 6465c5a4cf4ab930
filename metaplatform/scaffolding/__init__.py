"""Starting out: new projects, and new entries of a book made from the data they are about."""
