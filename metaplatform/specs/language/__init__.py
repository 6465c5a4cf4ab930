"""What the book's language has beside its chapters: versions, defaults, parameters, overlays and merge keys."""
