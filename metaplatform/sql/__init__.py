"""SQL of the book: parsed, checked, put in canonical form, its columns and kinds told. Knows no spec."""
