"""`Closing`: what holds something open until its `with` block ends; `Finishing`: what writes."""

from __future__ import annotations

import abc
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self


class Closing(abc.ABC):
    """A context manager that gives itself, and is closed at the end of its block."""

    @abc.abstractmethod
    def close(self) -> None:
        """Lets go of what it holds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Finishing(Closing):
    """Finishes what it writes where its block ends without an exception; closed it is in any case.

    So what is written appears whole, or, where `finish` fails too, not at all.
    """

    @abc.abstractmethod
    def finish(self) -> None:
        """Brings what was written under its name, if anything was."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.finish()
        finally:
            self.close()
