"""The instruction book as a Dagster component: it mounts a book into anybody's project, beside their own assets."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Annotated

import dagster as dg
from dagster.components.component_scaffolding import scaffold_component
from dagster.components.utils.translation import TranslationFn, TranslationFnResolver
from pydantic import BaseModel, Field

from metaplatform.composition import served_definitions
from metaplatform.errors import MetaplatformError
from metaplatform.factories.mount import BookEntry, Mount, mount_name
from metaplatform.naming import ref_name, ref_prefix, stable_id
from metaplatform.resources.process.quiet import quiet_libraries
from metaplatform.specs.book.deployment import Deployment

_FIRST_LINES = """\
# The instruction book: sources, tables, feature sets, models and what follows from them.
spec_version: 2
"""


class ScaffoldParams(BaseModel):
    """What ``dg scaffold defs metaplatform.InstructionBook`` may be told."""

    book: str = Field(default="metadata", description="The book's folder, from the project's root; made if missing.")


class BookScaffolder(dg.Scaffolder[ScaffoldParams]):
    """Writes ``defs.yaml``: keys begin with the name of its folder, and the book has a storage root of its own."""

    @classmethod
    def get_scaffold_params(cls) -> type[ScaffoldParams]:
        """Return what may be told."""
        return ScaffoldParams

    def scaffold(self, request: dg.ScaffoldRequest[ScaffoldParams]) -> None:
        """Write the component, and the first lines of a book where there is none."""
        name = mount_name([request.target_path.name])
        project = "{{ context.project_root }}"
        scaffold_component(
            request,
            {
                "book": f"{project}/{request.params.book}",
                "root": f"{project}/.metaplatform/{name}",
                "key_prefix": name,
            },
        )
        folder = (request.project_root or Path.cwd()) / request.params.book
        if not folder.exists():
            folder.mkdir(parents=True)
            (folder / "book.yaml").write_text(_FIRST_LINES, encoding="utf-8")


def _resolve_path(context: dg.ResolutionContext, value: str | None) -> Path | None:
    """Return a path of ``defs.yaml``, which relative ones start from."""
    given = context.resolve_value(value) if value else None
    return context.resolve_source_relative_path(str(given)).absolute() if given else None


_ResolvedPath = Annotated[Path | None, dg.Resolver(_resolve_path, model_field_type=str | None)]
_ResolvedTranslation = Annotated[
    TranslationFn[BookEntry],
    TranslationFnResolver[BookEntry](
        lambda entry: {
            "ref": entry.ref,
            "chapter": ref_prefix(entry.ref),
            "name": ref_name(entry.ref),
            "entity": entry.entity,
        }
    ),
]


@dg.scaffold_with(BookScaffolder)
class InstructionBook(dg.Component, dg.Resolvable, dg.Model):
    """A metaplatform instruction book: its sources, tables, features, models, predictions and the loop over them.

    All that is made of the book carries the name of its ``key_prefix``, so others' assets, resources and sensors,
    and more books, may stand beside it.
    """

    book: Annotated[
        _ResolvedPath,
        Field(description="Folder of the book's YAML files. Left out: what METAPLATFORM_BOOK says, else `metadata`."),
    ] = None
    root: Annotated[
        _ResolvedPath,
        Field(description="Storage root, the book's own. Left out: METAPLATFORM_ROOT, else `.metaplatform`."),
    ] = None
    environment: Annotated[
        str | None, Field(description="Overlay that is laid over the book. Left out: METAPLATFORM_ENVIRONMENT.")
    ] = None
    key_prefix: Annotated[
        str | list[str] | None,
        Field(description="What the keys of the book's assets begin with; each book of a project has another."),
    ] = None
    translation: Annotated[
        _ResolvedTranslation | None,
        Field(description="What is made of each asset's spec; sees `spec`, `ref`, `chapter`, `name` and `entity`."),
    ] = None

    @property
    def prefix(self) -> tuple[str, ...]:
        """Return what the keys of the book's assets begin with."""
        given = self.key_prefix or ()
        return (given,) if isinstance(given, str) else tuple(given)

    def translate(self, spec: dg.AssetSpec, entry: BookEntry) -> dg.AssetSpec:
        """Return what the project makes of the asset spec of an entry; a class of your own may override it."""
        return self.translation(spec, entry) if self.translation else spec

    def deployment(self, project: Path, environment: Mapping[str, str]) -> Deployment:
        """Return where the book of a project keeps its things: attributes first, then ``METAPLATFORM_`` variables.

        Raises:
            MetaplatformError: if a setting has a value that does not fit.
        """
        # Dagster runs steps in processes of their own, unless the project says otherwise.
        given = {"METAPLATFORM_EXECUTOR": "multiprocess", **environment}
        if self.book:
            given |= {"METAPLATFORM_BOOK": str(self.book), "METAPLATFORM_BOOK_SOURCE": "yaml"}
        if self.root:
            given["METAPLATFORM_ROOT"] = str(self.root)
        if self.environment is not None:
            given["METAPLATFORM_ENVIRONMENT"] = self.environment
        try:
            return Deployment.from_environment(given, project)
        except ValueError as error:
            raise MetaplatformError(
                owner=f"book {mount_name(self.prefix)}",
                culprit=str(error),
                fix="correct the attribute, or the METAPLATFORM_ variable; see docs/component.md",
            ) from error

    def mount(self, project: Path, root: Path) -> Mount:
        """Return the book's place in the code location of a project."""
        name = mount_name(self.prefix)
        translated = self.translation is not None or type(self).translate is not InstructionBook.translate
        return Mount(
            key_prefix=self.prefix,
            name=name,
            holder=f"{project.name}/{name}",
            scope=stable_id(project.name, name, root),
            translation=self.translate if translated else None,
        )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the definitions of the book.

        Raises:
            BookError: if the book has faults, with all of them, and no good one is to be kept.
            MetaplatformError: if another book of the project has the same name or storage root.
        """
        quiet_libraries(shared=True)
        project = context.project_root.resolve()
        deployment = self.deployment(project, os.environ)
        for other in _others(self, context):
            self._check_apart(other, project, deployment)
        return served_definitions(deployment, os.environ, self.mount(project, deployment.root))

    def _check_apart(self, other: "InstructionBook", project: Path, deployment: Deployment) -> None:
        name = mount_name(self.prefix)
        if mount_name(other.prefix) == name:
            raise MetaplatformError(
                owner=f"book {name}",
                culprit="another book of this project has the same name",
                fix="give each a `key_prefix` of its own",
            )
        if other.deployment(project, os.environ).root == deployment.root:
            raise MetaplatformError(
                owner=f"book {name}",
                culprit=f"its storage root {deployment.root} is also that of book {mount_name(other.prefix)}",
                fix="give each a `root` of its own",
            )


def _others(book: InstructionBook, context: dg.ComponentLoadContext) -> Iterator[InstructionBook]:
    """Yield the project's other books, where there is a project: a component may be built by itself too."""
    tree = context.component_tree
    if isinstance(tree.defs_module, ModuleType):
        yield from (other for other in tree.get_all_components(InstructionBook) if other is not book)
