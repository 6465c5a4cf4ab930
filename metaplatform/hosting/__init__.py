"""The processes of `metaplatform ui`: started, watched, started again, and ended together."""
