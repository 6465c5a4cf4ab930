"""All side effects: tables, files, models, messages, the clock."""
