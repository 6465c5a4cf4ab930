"""Which tags of a run Dagster's page shows: the reason is to be read there, and nothing beside it but the partition."""

import inspect
from pathlib import Path

import dagster_webserver
from dagster._core.storage.tags import HIDDEN_TAG_PREFIX, SYSTEM_TAG_PREFIX, TagType, get_tag_type
from dagster_graphql.schema.pipelines.pipeline import GrapheneRun

from metaplatform.factories.automation.run_requests import REASON_TAG
from metaplatform.naming import HIDDEN_TAG


def test_tags_of_this_prefix_are_not_given_to_the_page() -> None:
    assert HIDDEN_TAG.startswith(HIDDEN_TAG_PREFIX)
    assert get_tag_type(f"{HIDDEN_TAG}replay") is TagType.HIDDEN
    assert "get_tag_type(key) != TagType.HIDDEN" in inspect.getsource(GrapheneRun.resolve_tags)


def test_any_other_tag_but_dagsters_own_is_shown_in_the_table_of_runs_until_somebody_hides_it() -> None:
    assert get_tag_type(REASON_TAG) is TagType.USER_PROVIDED
    assert not REASON_TAG.startswith(SYSTEM_TAG_PREFIX)
    chunks = Path(dagster_webserver.__file__).parent.glob("webapp/build/_next/static/chunks/*.js")
    assert any("unpinned-tags" in chunk.read_text(encoding="utf-8") for chunk in chunks)
