"""Bytes of protocol buffers by hand; tests/export/test_saved_model.py reads whole requests."""

from __future__ import annotations

from anime_tf.export.warmup import _field, _varint


def test_numbers_of_any_length():
    # From the description of protocol buffers' encoding: 150 is 96 01.
    for value, expected in ((0, "00"), (127, "7f"), (128, "80 01"), (150, "96 01"), (300, "ac 02")):
        assert _varint(value) == bytes.fromhex(expected)


def test_a_field_with_a_length():
    # Field 2 with "testing", from the same description.
    assert _field(2, b"testing") == bytes.fromhex("12 07") + b"testing"
    assert _field(16, b"")[:2] == bytes.fromhex("82 01")
