"""Which addresses are data, and that no secret in one is stored or shown."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.errors import HpoError, OptionError
from hpo.spec.addresses import is_address, name_in, shown, why_no_address, with_secrets
from hpo.spec.study_file import read_study

SECRET = "hunter2"
WITH_SECRETS = (
    f"https://me:{SECRET}@example.org/reviews.csv",
    f"https://{SECRET}@example.org/reviews.csv",
    f"https://:{SECRET}@example.org/reviews.csv",
    f"https://me:${{PW}}{SECRET}@example.org/reviews.csv",
    f"https://me:{SECRET}/x@example.org/reviews.csv",
    *(
        f"https://example.org/reviews.csv?a=1&{name}={SECRET}"
        for name in (
            *(
                "token",
                "access_token",
                "password",
                "pwd",
                "apikey",
                "api_key",
                "key",
                "sig",
                "auth",
            ),
            *("X-Amz-Signature", "X-Amz-Security-Token", "AWSAccessKeyId", "private_key", "jwt"),
        )
    ),
    f"https://example.org/reviews.csv#access_token={SECRET}",
    f"s3://me:{SECRET}@bucket/reviews.csv?token={SECRET}",
)


@pytest.mark.parametrize("address", WITH_SECRETS)
@pytest.mark.parametrize("where", ["file", "option"])
def test_a_secret_is_refused_before_the_study_is_and_is_not_told(
    tmp_path: Path, address: str, where: str
) -> None:
    path = tmp_path / "study.toml"
    path.write_text(f'data.source = "{address}"' if where == "file" else "")
    overrides = {"data.source": address} if where == "option" else {}
    with pytest.raises(HpoError, match="data") as caught:
        read_study(path, overrides)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "https://example.org/reviews.csv",
        "HTTP://example.org:8080/reviews.csv?raw=true&id=7&author=me&keyword=film",
        "https://me:${PW}@example.org/reviews.csv",
        "https://${TOKEN}@example.org/reviews.csv",
        "https://example.org/reviews.csv?X-Amz-Signature=${S}",
        "https://example.org/reviews.csv?${QUERY}",
        "http://[::1]:80/reviews.zip::train.csv",
        "https://medium.com/@me/reviews.csv",
    ],
)
def test_an_address_without_secrets_is_taken_and_names_the_study(
    tmp_path: Path, address: str
) -> None:
    path = tmp_path / "study.toml"
    path.write_text("")
    spec = read_study(path, {"data.source": address})
    assert spec.data.source == address
    assert spec.name.startswith("reviews")


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        ("s3://bucket/reviews.csv", "aws s3 cp"),
        ("gs://bucket/reviews.csv", "gcloud storage cp"),
        ("ftp://host/reviews.csv", "Download it"),
        ("file:///reviews.csv", "Name the path alone"),
        ("hf://datasets/me/reviews", "owner/name"),
        ("://reviews", "Download it"),
        ("https:///reviews.csv", "Correct it"),
        ("https://host:port/reviews.csv", "Correct it"),
        ("https://ho st/reviews.csv", "Correct it"),
        ("https://[::1/reviews.csv", "Correct it"),
    ],
)
def test_other_addresses_are_refused_with_the_way_on(address: str, hint: str) -> None:
    refused = why_no_address(address)
    assert refused is not None
    assert hint in refused.hint


TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)


@given(TEXTS)
def test_any_text_is_judged_and_shown_on_one_line_without_its_query(text: str) -> None:
    source = f"https://{text}"
    why_no_address(source)
    name_in(source)
    assert is_address(source)
    assert "?" not in shown(source)


@given(st.text(min_size=1))
def test_any_secret_arrives_whole_in_a_login_and_never_in_what_is_shown(secret: str) -> None:
    address = "https://me:${PW}@example.org/reviews.csv?token=${T}"
    secret = secret.encode("utf-8", "replace").decode()
    full = with_secrets(address, {"PW": secret, "T": quote(secret)})
    assert unquote(urlsplit(full).password or "") == secret
    assert unquote(urlsplit(full).query) == f"token={secret}"
    assert shown(full) == shown(address) == "https://example.org/reviews.csv"


def test_a_secret_that_the_environment_lacks_is_named() -> None:
    with pytest.raises(OptionError, match=r"^TOKEN: found no such environment variable"):
        with_secrets("https://example.org/?token=${TOKEN}", {"TOKEN": ""})
