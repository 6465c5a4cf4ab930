"""Where results go: files, pages, messages."""
