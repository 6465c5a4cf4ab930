"""Every place below the storage root, once: relative names, and what each is for whoever clears the root."""

WAREHOUSE = "warehouse"
"""Folder of all Delta tables, one below another for chapter and name."""
MLFLOW_DATABASE = "mlflow.db"
DAMAGED_DATABASE = f"{MLFLOW_DATABASE}.damaged"
"""What a restored database stood as before."""
MODEL_FILES = "mlartifacts"
"""Folder of the models' files, which outlive MLflow's database."""
REPORTS, EXPORTS = "reports", "exports"
VIEWS = "warehouse.duckdb"
"""File of views on the tables, for people and BI tools."""
NOTIFICATIONS, OUTBOX = "notifications", "outbox"
DAGSTER = "dagster"
"""Home of Dagster's instance."""
CONTENTS = "contents"
"""What each source's files held when they were read."""
BOOK = "book"
BUILT, LABELS, MATCHES, APPLIED = f"{BOOK}/built", f"{BOOK}/labels", f"{BOOK}/matches", f"{BOOK}/applied.json"
"""What was made, of which book; how many labels were counted; which rows a reaction has met."""
KEPT = f"{BOOK}/kept"
"""Sound books by what they were made from, and which of them is accepted."""
SNAPSHOTS, ACCEPTED, COMPILED = f"{BOOK}/snapshots", f"{BOOK}/accepted", f"{BOOK}/compiled"
"""Where earlier releases kept the snapshots of a database's book, which was accepted, and the books of files."""
LIVE, SEEN = f"{BOOK}/live", f"{BOOK}/seen"
"""Which process works by which book, and where a mounted book was last seen."""
TEMPORARY = "tmp"
STANDING, SERVED = "replay.json", "ui.json"
"""How far a replay has come, and where ``metaplatform ui`` is served."""
LOGS = "logs"
ROOT_MARK = "root.json"
"""What the root is for."""
ROOT_LOCK, APPLY_LOCK, SERVE_LOCK = "in_use.lock", "apply.lock", "ui.lock"

MADE_BY_REPLAYS = (
    *(WAREHOUSE, MLFLOW_DATABASE, MODEL_FILES, REPORTS, EXPORTS, NOTIFICATIONS, OUTBOX, DAGSTER, CONTENTS),
    *(BUILT, LABELS, MATCHES, APPLIED, VIEWS, STANDING, LOGS, SERVED),
)
"""What replays make; another replay removes nothing else, the accepted book least of all."""
LEFT_BY_REPLAYS = (BOOK, DAMAGED_DATABASE, TEMPORARY, APPLY_LOCK, SERVE_LOCK)
"""What is removed beside that where a root is given up."""
LEFT_BY_SERVING = (SERVE_LOCK, LOGS)
"""What ``metaplatform ui`` leaves behind."""
