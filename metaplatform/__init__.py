"""metaplatform: data, features, models and the loop that keeps them right, from one instruction book."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metaplatform.component import InstructionBook
    from metaplatform.factories.mount import BookEntry

__all__ = ["BookEntry", "InstructionBook"]


def __getattr__(name: str) -> Any:
    """Return what is for projects to import, loaded when it is asked for: the command line does without Dagster."""
    if name == "InstructionBook":
        from metaplatform.component import InstructionBook

        return InstructionBook
    if name == "BookEntry":
        from metaplatform.factories.mount import BookEntry

        return BookEntry
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return what the module has, what is not loaded yet too."""
    return sorted({*globals(), *__all__})
