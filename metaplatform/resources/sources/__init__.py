"""Where rows come from: files found, looked at, sampled and read."""
