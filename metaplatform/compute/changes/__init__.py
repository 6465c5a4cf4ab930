"""Book against what was made from another one: what differs, what that makes stale, and whom it breaks."""
