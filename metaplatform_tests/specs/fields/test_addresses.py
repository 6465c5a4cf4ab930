"""Paths of sources as texts: addresses are told from files, and no message shows a secret."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaplatform.specs.fields.addresses import holds_credentials, is_url, shown_path

words = st.text(alphabet="abcdef0123456789", min_size=6, max_size=12)


@pytest.mark.parametrize("path", ["s3://bucket/x", "HTTPS://a", " gs://b", "file:/x", "abfss://c@a/x", "jdbc+x://h"])
def test_addresses(path: str) -> None:
    assert is_url(path)


@pytest.mark.parametrize(
    "path", ["data/x.csv", "/data/x.csv", "C:x.csv", "a:b/x", "s3:/", "://x", "1s://x", "a/s3://x"]
)
def test_files(path: str) -> None:
    assert not is_url(path)


@pytest.mark.parametrize(
    "path",
    ["me:pw@host/x", "s3://me:pw@host/x", "x?token=1", "x?Access_Key=1", "x?accesskey=1", "x?sig=1", "x?key_id=1",
     "x?aws_secret_access_key=1", "PASSWORD=1/x", "x?credential=1"],
)  # fmt: skip
def test_what_looks_like_a_secret(path: str) -> None:
    assert holds_credentials(path)


@pytest.mark.parametrize("path", ["data/x.csv", "tokens/x.csv", "year=2024/x.csv", "a@b/x", "me:pw/x", "secret/a=1/x"])
def test_what_does_not(path: str) -> None:
    assert not holds_credentials(path)


@given(words, st.sampled_from(["me:{}@host/x", "s3://me:{}@host/x", "s3://bucket/x?sig={}", "x?token={}", "pwd={}/x"]))
def test_no_secret_is_shown(secret: str, form: str) -> None:
    path = form.format(secret)
    assert holds_credentials(path)
    assert secret not in shown_path(path)


@given(st.text(alphabet="abc/*._ ", max_size=200))
def test_the_beginning_of_any_other_path_is_shown(path: str) -> None:
    assert shown_path(path) == path[:80]


def test_of_an_address_the_scheme_is_shown() -> None:
    assert shown_path("S3://bucket/x") == "s3://…"
