"""People are told the platform's own error, whatever it came of."""

import dagster as dg

from metaplatform.errors import DataError
from metaplatform.factories.failures import decisive, said_by


def failing(error: Exception, cause: Exception | None = None) -> dg.ExecuteInProcessResult:
    @dg.asset
    def broken() -> None:
        raise error from cause

    return dg.materialize([broken], raise_on_error=False)


def error_of(result: dg.ExecuteInProcessResult) -> object:
    (event,) = [event for event in result.all_events if event.is_step_failure]
    return event.step_failure_data.error


def test_an_error_of_ours_is_told_and_not_what_it_came_of() -> None:
    ours = DataError(owner="raw.orders", culprit="a.csv cannot be read", fix="fix the file")
    kept = error_of(failing(ours, ValueError("at byte 20")))
    assert said_by(kept) == "raw.orders: a.csv cannot be read. Fix: fix the file"
    assert decisive(kept).cls_name == "DataError"


def test_of_other_errors_the_first_cause_is_told_with_its_class() -> None:
    assert said_by(error_of(failing(RuntimeError("outer"), KeyError("inner")))) == "KeyError: 'inner'"


def test_of_no_error_nothing_is_told() -> None:
    assert (decisive(None), said_by(None)) == (None, "")
