"""What fields of the book are made of: names, durations, partitions, references."""
