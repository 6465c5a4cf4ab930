"""Where the book comes from: files, a database, git; and how it is served."""
