"""Dead letters with hostile contents, as people read them."""

import json

import pytest

from cli.letter import body_of, fields_of, text_of
from cli.listing import write_json
from shared.concurrency import DeadLetter


def letter(body: bytes, error: str = "") -> DeadLetter:
    return DeadLetter(
        "k" * 22, "id\x1b[31m\n", "Order\u202e", "failed\x00", error, 1.0, 2.0, 1, 1, body, "\ud800", "\r"
    )


@pytest.mark.parametrize(
    "body",
    [b"[" * 990 + b"]" * 990, b"[" * 100_000, b"NaN", b"[Infinity]", b"\xff", b"9" * 5000, b"", b"\x80\x04."],
    ids=["990", "100,000", "NaN", "Infinity", "no UTF-8", "digits", "empty", "pickle"],
)  # fmt: skip
def test_a_body_that_cannot_be_written_as_json_is_in_base64(body: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    found = body_of(letter(body))
    assert set(found) == {"body_base64"}
    assert [line for line in text_of(letter(body)) if "\n" in line] == ["id: id\x1b[31m\n"]  # escaped as it is written
    write_json(fields_of(letter(body)) | found)
    shown = capsys.readouterr().out
    assert shown.isascii()
    assert json.loads(shown, parse_constant=pytest.fail)["id"] == "id\x1b[31m\n"
