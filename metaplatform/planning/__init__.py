"""Book against warehouse, or against another book; and the runs that make the two agree."""
