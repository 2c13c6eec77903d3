"""What the server refuses, in plain words for whoever looks at the page."""

from __future__ import annotations


class RefusedError(Exception):
    """A request that is not done.

    Args:
        status: HTTP's number for it.
        sentence: One plain sentence: what is wrong, and what to do about it.
        retry_after: In how many seconds to come again; None where that is of no use.
    """

    def __init__(self, status: int, sentence: str, retry_after: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.retry_after = retry_after


class LeftError(Exception):
    """Whoever asked for the work has gone."""
