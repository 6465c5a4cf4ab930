"""People are told once that something goes wrong, and once that it is over."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from metaplatform.compute.policy.alerting import Alert, Trouble, alerts

NOW = datetime(2024, 5, 1, tzinfo=UTC)
CAUSES = ("run", "arrivals", "book")


def trouble(cause: str, since: datetime = NOW) -> Trouble:
    return Trouble(cause, since, f"{cause} fails", f"what {cause} said", {"run": "/runs/1"})


def test_a_trouble_that_lasts_is_told_once_and_then_that_it_is_over() -> None:
    [first], told = alerts([trouble("run")], {}, NOW)
    assert (first.title, first.body, first.links) == ("run fails", "what run said", {"run": "/runs/1"})
    assert alerts([trouble("run", NOW + timedelta(hours=1))], told, NOW) == ([], told)
    [over], left = alerts([], told, NOW)
    assert (over.title, over.message_id) == ("Over: run fails", f"{first.message_id}-over")
    assert left == {}


def test_what_comes_again_is_told_again_and_the_same_look_is_told_the_same() -> None:
    [first], _ = alerts([trouble("run")], {}, NOW)
    [same], _ = alerts([trouble("run")], {}, NOW + timedelta(minutes=1))
    [again], _ = alerts([trouble("run", NOW + timedelta(days=1))], {}, NOW)
    assert first.message_id == same.message_id != again.message_id


@given(st.lists(st.sets(st.sampled_from(CAUSES))))
def test_of_any_course_each_beginning_and_each_end_is_told_once(looks: list[set[str]]) -> None:
    told: dict[str, Alert] = {}
    before: set[str] = set()
    for hour, causes in enumerate(looks):
        now = NOW + timedelta(hours=hour)
        messages, told = alerts([trouble(cause, now) for cause in sorted(causes)], told, now)
        begun = {f"{cause} fails" for cause in causes - before}
        over = {f"Over: {cause} fails" for cause in before - causes}
        assert sorted(message.title for message in messages) == sorted(begun | over)
        assert set(told) == causes
        before = causes
