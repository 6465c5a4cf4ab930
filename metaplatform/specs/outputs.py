"""Chapter ``outputs``: the second place, where people and other systems read."""

from typing import Annotated, Literal

from pydantic import Field

from metaplatform.specs.base import Entity, Many, Query, Ref


class FileOutput(Entity):
    """One file for each partition of ``table`` (or one in all), replaced atomically."""

    kind: Literal["parquet", "csv"]
    table: Ref


class ViewsOutput(Entity):
    """A DuckDB file of views on ``tables``, made anew each time: for people and BI tools."""

    kind: Literal["views"]
    tables: Many[Ref] = Field(min_length=1)


class ReportOutput(Entity):
    """The result of ``sql`` as a table and as an HTML page, for each partition of ``partitioned_by`` if given.

    ``title`` heads the page.
    """

    kind: Literal["report"]
    title: str = Field(min_length=1)
    sql: Query
    partitioned_by: Ref | None = None


OutputSpec = Annotated[FileOutput | ViewsOutput | ReportOutput, Field(discriminator="kind")]
