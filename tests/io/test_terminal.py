"""Progress of long tasks."""

from __future__ import annotations

import logging

from anime_tf.io.terminal import INTERVAL, Progress


def test_a_plain_line_now_and_then_where_there_is_no_terminal(caplog, capsys):
    seconds = iter([0.0, 1.0, INTERVAL, INTERVAL + 1, 2 * INTERVAL + 1])
    caplog.set_level(logging.INFO, logger="absl")
    progress = Progress(20, "pictures", "checking", done=10, clock=lambda: next(seconds))
    with progress:
        for _ in range(4):
            progress.update("loss 1")
    assert [record.getMessage() for record in caplog.records] == [
        "checking: 12 of 20 pictures, 0.0667/s, loss 1",
        "checking: 14 of 20 pictures, 0.0656/s, loss 1",
    ]
    assert capsys.readouterr().out == ""


def test_items_pass_through():
    assert list(Progress(None, "pictures").track("abc")) == ["a", "b", "c"]
