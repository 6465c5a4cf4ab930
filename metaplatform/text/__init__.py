"""Words for people: times, plurals, the nearest of known names."""
