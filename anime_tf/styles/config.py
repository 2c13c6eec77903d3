"""Settings of the verb ``styles``."""

from __future__ import annotations

from dataclasses import dataclass

from anime_tf.config import Config, setting
from anime_tf.styles.registry import STATES


@dataclass(frozen=True)
class RegistryConfig(Config):
    """Settings of all commands of ``styles``.

    Attributes:
        registry: JSON file of an own registry, whose entries come before the published ones; by
            default that of the environment variable ANIME_TF_REGISTRY.
        json: Print JSON.
    """

    registry: str | None = setting(None)
    json: bool = setting(False)


@dataclass(frozen=True)
class ListConfig(Config):
    """Settings of ``styles list``.

    Attributes:
        state: Only styles of this state.
    """

    state: str | None = setting(None, choices=STATES)


@dataclass(frozen=True)
class NamesConfig(Config):
    """Settings of commands for some styles.

    Attributes:
        name: Name of a style; several may follow each other without the flag.
    """

    name: tuple[str, ...] = setting(repeated=True)


@dataclass(frozen=True)
class GetConfig(Config):
    """Settings of ``styles get``.

    Attributes:
        accept_license: A style, or a license, whose non-commercial license you have read and
            accept; may be given several times. On a terminal you are asked.
        source: Local folder, or address of a mirror, with the published files.
    """

    accept_license: tuple[str, ...] = setting((), repeated=True)
    source: str | None = setting(None, flag="from")


@dataclass(frozen=True)
class AddConfig(Config):
    """Settings of ``styles add``.

    Attributes:
        file: JSON file with one entry or a list of entries; see docs/styles.md.
    """

    file: str = setting()
