"""Values that layers share: what was read, made, observed and decided."""
