"""Errors of the web server."""

from __future__ import annotations


class HttpError(Exception):
    """A request that is rejected, with one plain sentence for the user: problem and remedy.

    `retry_after` is the seconds until the client should retry; None if it should not.
    """

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.retry_after = status, message, retry_after


class ClientDisconnected(Exception):  # noqa: N818, an event and not an error
    """The client disconnected, or the server is shutting down."""
