"""DAGSTER_HOME of a deployment: the instance settings the loop needs to run unattended and to heal."""

import logging
from dataclasses import dataclass, fields
from pathlib import Path

import yaml

from metaplatform.errors import StorageError
from metaplatform.resources.files.file_writing import write_whole
from metaplatform.resources.files.sqlite_files import damage_of

_DATABASES = ("history/*.db", "history/runs/index.db", "schedules/*.db")
_CHOOSE_STORAGE = ("storage", "run_storage", "event_log_storage", "schedule_storage", "instance_class")
HISTORY_URL = "METAPLATFORM_DAGSTER_URL"
"""Environment variable with the URL of the PostgreSQL database that is to hold Dagster's history."""
_SHARED = f"""
# Runs, events and ticks are in a PostgreSQL database. To go back to SQLite, unset the variable and remove these lines.
storage:
  custom:
    module: metaplatform.resources.process.postgresql_storage
    class: PostgreSQLStorage
    config: {{postgres_url: {{env: {HISTORY_URL}}}}}
"""
_TEMPLATE = """\
# Dagster's instance settings. Written once; edit freely, an existing file is never overwritten.
telemetry: {{enabled: false}}
nux: {{enabled: false}}

# Tells dead runs from running ones, so that a run whose process was killed is failed (and tried again) at the next
# poll instead of after its maximum runtime.
run_launcher:
  module: metaplatform.resources.run_launcher
  class: LocalRunLauncher
run_monitoring:
  enabled: true
  poll_interval_seconds: {poll_interval_seconds}
  start_timeout_seconds: {start_timeout_seconds}
  cancel_timeout_seconds: {cancel_timeout_seconds}
  # For one job: tag it with dagster/max_runtime (seconds).
  max_runtime_seconds: {max_runtime_seconds}
  # Pool slots of a killed run would otherwise stay taken for ever.
  free_slots_after_run_end_seconds: {poll_interval_seconds}
# Only crashed runs: a step that failed by itself fails again, and its error should be seen once.
run_retries: {{enabled: true, max_retries: {max_retries}, retry_on_asset_or_op_failure: false}}

run_queue:
  dequeue_interval_seconds: 1
  # A run that is to start while the code server is away waits for it; Dagster's default is to fail it for good.
  user_code_failure_retry_delay: 10
  max_user_code_failure_retries: {code_server_retries}
concurrency:
  runs: {{max_concurrent_runs: {max_concurrent_runs}}}
  pools: {{default_limit: {pool_limit}, granularity: op}}

# One slow sensor must not hold up the others.
sensors: {{use_threads: true, num_workers: 4}}
schedules: {{use_threads: true, num_workers: 4}}
code_servers: {{local_startup_timeout: {code_startup_seconds}}}
retention:
  sensor: {{purge_after_days: {{skipped: 1, failure: {keep_ticks_days}, success: {keep_ticks_days}}}}}
  schedule: {{purge_after_days: {{skipped: 1, failure: {keep_ticks_days}, success: {keep_ticks_days}}}}}
"""


@dataclass(frozen=True, kw_only=True)
class InstanceSettings:
    """What of dagster.yaml differs between deployments; every value is a positive whole number.

    ``max_runtime_seconds`` ends any run that takes longer, ``max_retries`` is how often a crashed run is tried again,
    ``pool_limit`` how many steps of one concurrency pool run at once, ``code_server_retries`` how often, every 10 s, a
    run that is to start asks for a code server that is away.
    """

    max_runtime_seconds: int = 7200
    start_timeout_seconds: int = 180
    cancel_timeout_seconds: int = 60
    poll_interval_seconds: int = 5
    max_retries: int = 2
    max_concurrent_runs: int = 4
    pool_limit: int = 1
    code_startup_seconds: int = 180
    code_server_retries: int = 60
    keep_ticks_days: int = 30

    def __post_init__(self) -> None:
        """Refuse values Dagster would accept and then never monitor, retry or run anything with."""
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise StorageError(
                    owner="dagster.yaml",
                    culprit=f"{field.name} is {value!r}",
                    fix="use a whole number of at least 1",
                )


def write_dagster_home(folder: Path, settings: InstanceSettings | None = None, *, shared: bool = False) -> Path:
    """Make ``folder`` a DAGSTER_HOME and return its absolute path.

    Writes ``dagster.yaml`` unless one is there: what a person edited is kept. Storage is Dagster's default, SQLite
    below the folder, whose databases are set aside if they cannot be read; if it is ``shared``, the PostgreSQL database
    that the environment names, and the file is told so. Safe to call from several processes at once.

    Raises:
        StorageError: if ``dagster.yaml`` is not valid YAML, or chooses another storage.
    """
    home = folder.resolve()
    home.mkdir(parents=True, exist_ok=True)
    target = home / "dagster.yaml"
    if not target.exists():
        chosen = settings or InstanceSettings()
        text = _TEMPLATE.format(**{field.name: getattr(chosen, field.name) for field in fields(chosen)})
        write_whole(target, text.encode())
    _check_settings(target)
    _choose_storage(target, shared=shared)
    _set_aside_damaged(home)
    return home


def _check_settings(file: Path) -> None:
    try:
        yaml.safe_load(file.read_bytes())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise StorageError(
            owner=str(file),
            culprit=f"it is not valid YAML: {str(error).splitlines()[0]}",
            fix="correct it, or delete it: it is then written again",
        ) from error


def _choose_storage(file: Path, *, shared: bool) -> None:
    """Name PostgreSQL's storage in the settings if it is to be used, and none is named there."""
    text = file.read_text(encoding="utf-8")
    if shared and not chooses_storage(file.parent):
        write_whole(file, f"{text.rstrip()}\n{_SHARED}".encode())
    elif shared and HISTORY_URL not in text:
        raise StorageError(
            owner=str(file),
            culprit=f"it chooses a storage, and {HISTORY_URL} another",
            fix=f"unset {HISTORY_URL}, or remove the storage from the file",
        )
    elif not shared and HISTORY_URL in text:
        raise StorageError(
            owner=str(file),
            culprit=f"Dagster's history is in the database of {HISTORY_URL}, which is not set",
            fix=f"set {HISTORY_URL}; or remove the lines of `storage` to begin a history in SQLite",
        )


def chooses_storage(home: Path) -> bool:
    """Tell whether ``dagster.yaml`` chooses another storage than Dagster's default."""
    settings = yaml.safe_load((home / "dagster.yaml").read_bytes())
    return isinstance(settings, dict) and not settings.keys().isdisjoint(_CHOOSE_STORAGE)


def _set_aside_damaged(home: Path) -> None:
    """Take away those of Dagster's databases that cannot be read, keeping them under another name, and tell so.

    Dagster makes new ones. The loop remembers in tables of its own: lost is what Dagster's pages showed of the past.
    """
    # Each run has a database of its own beside the index: so many are not looked at.
    for database in sorted(found for kind in _DATABASES for found in home.glob(kind)):
        what = damage_of(database)
        if what is None:
            continue
        aside = database.with_name(f"{database.name}.damaged")
        database.replace(aside)
        for rest in ("-wal", "-shm", "-journal"):
            database.with_name(database.name + rest).unlink(missing_ok=True)
        told = "%s: %s. It is kept as %s, and Dagster makes it again."
        logging.getLogger(__name__).warning(told, database, what, aside.name)
