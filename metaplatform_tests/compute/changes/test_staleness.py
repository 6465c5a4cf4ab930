"""What an edit of a book makes stale: exactly that, in whatever book, and nothing once it is made again."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaplatform.composition import definitions_of
from metaplatform.compute.changes.automation import schedules_of, sensors_of
from metaplatform.compute.changes.plan import Plan
from metaplatform.compute.changes.staleness import Past, plan_changes
from metaplatform.specs.book.deployment import Deployment
from metaplatform.specs.book.manifest import Manifest
from metaplatform.specs.loading import load_book
from metaplatform.specs.snapshots import read_snapshot, snapshot_of
from metaplatform_tests.compute.changes.edits import FLIGHTS, NOTHING, SHOP, STALE, TOLD, Edit

EDITS = (*NOTHING, *TOLD, *STALE)


@cache
def manifest_of_text(text: str, folder: Path) -> Manifest:
    """Return the manifest of a book in one file (chapters that come twice are files of their own)."""
    metadata = folder / str(abs(hash(text))) / "metadata"
    metadata.mkdir(parents=True, exist_ok=True)
    (metadata / "book.yaml").write_text(text, encoding="utf-8")
    return load_book(metadata)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("books")


def planned(edit: Edit, folder: Path) -> Plan:
    before, after = (manifest_of_text(text, folder) for text in (edit.book, edit.edited()))
    return plan_changes(Past.of_book(before), after)


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.name)
def test_an_edit_makes_stale_exactly_what_hangs_on_it(edit: Edit, folder: Path) -> None:
    plan = planned(edit, folder)
    assert {change.ref for change in plan.work} == edit.stale
    assert {change.ref for change in plan.changes if change.action is None} == edit.told
    assert {change.ref for change in plan.breaking} == edit.breaking
    assert {change.name for change in plan.automation} == edit.automation
    assert all(change.reasons for change in plan.changes)


def test_the_corpus_is_as_large_as_promised() -> None:
    assert len(EDITS) >= 60
    assert len(NOTHING) >= 12
    assert len({edit.name for edit in EDITS}) == len(EDITS)


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.name)
def test_work_is_in_the_order_in_which_it_can_be_done(edit: Edit, folder: Path) -> None:
    after = manifest_of_text(edit.edited(), folder)
    order = [change.ref for change in planned(edit, folder).work]
    for index, ref in enumerate(order):
        assert not set(order[index:]) & set(after.reads(ref))


def test_a_change_says_which_field_and_how(folder: Path) -> None:
    edit = next(edit for edit in STALE if edit.name == "a feature's window")
    changes = {change.ref: change for change in planned(edit, folder).changes}
    assert [str(found) for found in changes["features.order_features"].differences] == [
        "features[3: window raw.orders].window: 2 weeks → 15 days"
    ]
    assert changes["models.returns"].reasons == ("reads features.order_features, which changes",)
    assert changes["models.returns"].differences == ()


def test_policies_that_change_along_with_the_model_are_told_with_it(folder: Path) -> None:
    edit = next(edit for edit in STALE if edit.name == "both a policy and a seed")
    (change,) = [change for change in planned(edit, folder).changes if change.ref == "models.returns"]
    assert {found.path for found in change.differences} == {"training.seed", "retrain.cooldown"}
    assert change.reasons == ("training.seed changed",)


books = st.sampled_from([edit.edited() for edit in EDITS if edit.book is SHOP] + [SHOP])


@given(text=books)
def test_a_book_against_itself_changes_nothing(text: str, folder: Path) -> None:
    manifest = manifest_of_text(text, folder)
    assert plan_changes(Past.of_book(manifest), manifest).empty


@given(first=books, second=books)
def test_only_what_differs_or_reads_what_does_is_stale(first: str, second: str, folder: Path) -> None:
    before, after = manifest_of_text(first, folder), manifest_of_text(second, folder)
    changes = plan_changes(Past.of_book(before), after).changes
    stale = {change.ref for change in changes if change.action or any("it waits" in why for why in change.reasons)}
    for ref in after.entities:
        own = ref not in before.entities or before.spec_hash(ref) != after.spec_hash(ref)
        other_inputs = ref in before.entities and before.reads(ref) != after.reads(ref)
        inherited = bool(stale & set(after.reads(ref)))
        if ref.split(".")[0] in {"raw", "tables", "features", "outputs"} and ref in before.entities:
            assert (ref in stale) == (own or other_inputs or inherited), ref


@given(data=st.data())
def test_keys_of_yaml_in_any_order_change_nothing(data: st.DataObject, folder: Path) -> None:
    def shuffled(value: Any) -> Any:
        # Blocks of features come in order; so do key columns. The order of mappings is free, but for chains.
        if isinstance(value, dict):
            return {key: shuffled(value[key]) for key in data.draw(st.permutations(sorted(value)))}
        return [shuffled(item) for item in value] if isinstance(value, list) else value

    before = manifest_of_text(SHOP, folder)
    after, _ = read_snapshot(shuffled(snapshot_of(before)), root=before.root, origin="here")
    assert after is not None
    assert plan_changes(Past.of_book(before), after).empty


@pytest.mark.parametrize("text", [SHOP, FLIGHTS], ids=["shop", "flights"])
def test_schedules_and_sensors_are_those_that_dagster_gets(text: str, folder: Path) -> None:
    manifest = manifest_of_text(text, folder)
    repository = definitions_of(manifest, Deployment(book=folder, root=folder / "root")).get_repository_def()
    # Tables are maintained and messages sent whatever the book says.
    of_every_book = {"maintenance", "messages"}
    schedules = [schedule.name for schedule in repository.schedule_defs if schedule.name not in of_every_book]
    assert schedules == list(schedules_of(manifest))
    assert {sensor.name for sensor in repository.sensor_defs} - of_every_book == set(sensors_of(manifest))
