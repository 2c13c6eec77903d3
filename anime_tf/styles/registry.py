"""The styles: built-in ones, the table of published ones, and entries of the user.

Reading the table neither loads TensorFlow nor opens a connection; `styles.fetch` downloads.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import platformdirs

from anime_tf.config import did_you_mean
from anime_tf.errors import command_line
from anime_tf.io.atomic import write_bytes
from anime_tf.io.kinds import PICTURE_SUFFIXES, VIDEO_SUFFIXES
from anime_tf.io.plain_file import read_plain_file
from anime_tf.styles.builtin import BUILTIN, LICENSE_URLS, STYLES_DIR, builtin_file

TABLE = Path(__file__).with_name("registry.json")
DATA_VARIABLE = "ANIME_TF_DATA"  # environment variable that names another data folder
REGISTRY_VARIABLE = "ANIME_TF_REGISTRY"  # likewise, of an own registry
BASE_URL = "https://raw.githubusercontent.com/{repository}/{commit}"
SOURCES = ("tf1", "torch", "cartoongan", "keras")  # keras: one .keras archive
SETTINGS = ("faces", "face_size", "face_padding", "max_side", "match_brightness", "strength")
STATES = ("built in", "cached", "available")
CARD = "style.json"  # in the folder of a cached style, beside NAME.keras and LICENSE.txt

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_PART = re.compile(r"[\w@+=,()!' -][\w@+=,()!'. -]*")  # neither hidden nor ".."


class License(NamedTuple):
    """License of weights; `noncommercial` ones must be accepted before the download."""

    name: str
    text: str = ""
    url: str = ""
    noncommercial: bool = False


class RemoteFile(NamedTuple):
    """A published file; `git_blob` is its id in git."""

    path: str
    size: int | None = None
    sha256: str | None = None
    git_blob: str | None = None


@dataclasses.dataclass(frozen=True)
class Style:
    """A style.

    Attributes:
        name: Name on the command line; lower-case letters, digits and ``._-``.
        model: Key of `models.registry.GENERATORS`.
        license: License of the weights.
        good_for: What it is good at, in one line.
        authors: Authors of the weights.
        training_data: Training data as published.
        source: Kind of the published weights, one of `SOURCES`.
        repository: GitHub repository, OWNER/NAME.
        commit: Its pinned commit.
        base_url: Address of the folder of the files, in place of a repository.
        files: The published files.
        settings: Recommended settings: flag of `SETTINGS` -> value.
        weights_sha256: Digest of the cached archive; empty for a style that is not cached.
    """

    name: str
    model: str
    license: License
    good_for: str = ""
    authors: str = ""
    training_data: str = ""
    source: str = "keras"
    repository: str = ""
    commit: str = ""
    base_url: str = ""
    files: tuple[RemoteFile, ...] = ()
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    weights_sha256: str = ""

    @classmethod
    def from_dict(cls, entry: Any, where: str) -> Style:
        """Make a style of an entry of a registry.

        Raises:
            ValueError: Unknown or missing keys, or a name or path that could leave its folder.
        """
        try:
            style = cls(
                **{
                    **entry,
                    "license": License(**entry["license"]),
                    "files": tuple(RemoteFile(**file) for file in entry.get("files", ())),
                }
            )
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(
                f"{where}: wrong entry of a style ({error}); see docs/styles.md"
            ) from None
        checks = {
            "name": isinstance(style.name, str) and _NAME.fullmatch(style.name),
            "source": style.source in SOURCES,
            "settings": set(style.settings) <= set(SETTINGS),
            "base_url": bool(style.base_url) != bool(style.repository and style.commit),
            "files": style.files and all(map(_is_safe, style.files)) and _differ(style.files),
        }
        wrong = [key for key, good in checks.items() if not good]
        if wrong:
            raise ValueError(
                f"{where}: wrong {', '.join(wrong)} of the style {style.name!r}; see docs/styles.md"
            )
        return style

    def as_dict(self) -> dict[str, Any]:
        """Return the entry that `from_dict` takes, without empty values."""
        entry = {key: value for key, value in vars(self).items() if value}
        files = [{k: v for k, v in file._asdict().items() if v} for file in self.files]
        return entry | {"license": self.license._asdict(), "files": files}

    @property
    def title(self) -> str:
        """Name, and what it is good for."""
        return f"{self.name}: {self.good_for}" if self.good_for else self.name

    @property
    def url(self) -> str:
        """Address of the folder of its files."""
        if self.repository:
            return BASE_URL.format(**vars(self))
        return self.base_url.rstrip("/")

    @property
    def size(self) -> int | None:
        """Bytes to download, but for the index of a checkpoint; None if unknown."""
        sizes = [file.size for file in self.files if not file.path.endswith(".index")]
        return None if None in sizes or not sizes else sum(filter(None, sizes))

    @property
    def folder(self) -> Path:
        """Folder of the cached style."""
        return data_folder() / "styles" / self.name

    @property
    def path(self) -> Path:
        """Path of the archive, which exists unless the state is "available"; not verified."""
        if self.name in BUILTIN:
            return STYLES_DIR / BUILTIN[self.name].file
        return self.folder / f"{self.name}.keras"

    @property
    def state(self) -> str:
        """One of `STATES`."""
        if self.name in BUILTIN:
            return "built in"
        return "cached" if self.weights_sha256 else "available"


def _is_safe(file: RemoteFile) -> bool:
    return all(_PART.fullmatch(part) for part in file.path.split("/"))


def _differ(files: Sequence[RemoteFile]) -> bool:
    """Tell whether the files can lie in one folder."""
    return len({file.path.rpartition("/")[2] for file in files}) == len(files)


def data_folder() -> Path:
    """Return the user's data folder, which may not exist yet."""
    named = os.environ.get(DATA_VARIABLE)
    return Path(named) if named else platformdirs.user_data_path("anime_tf", appauthor=False)


def read_registry(path: str | os.PathLike[str]) -> list[Style]:
    """Read a registry: a JSON file with one entry or a list of them.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no plain file or not JSON, or has a wrong entry.
    """
    data = read_plain_file(path, "a registry of styles")
    try:
        entries = json.loads(data)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: expected JSON ({error})") from None
    entries = entries if isinstance(entries, list) else [entries]
    return [Style.from_dict(entry, os.fspath(path)) for entry in entries]


def list_styles(registry: str | os.PathLike[str] | None = None) -> list[Style]:
    """List all styles: built-in, published, added, and those of an own registry.

    Args:
        registry: File of an own registry, by default that of ANIME_TF_REGISTRY if set. Its entries
            take the place of others with the same name.

    Raises:
        OSError: The own registry cannot be read.
        ValueError: A registry is damaged.
    """
    found = {
        name: Style(
            name,
            one.model,
            License(
                one.license,
                f"The weights are under the license {one.license}.",
                LICENSE_URLS.get(one.license, ""),
            ),
            one.description,
            "anime_tf",
            one.training_data,
        )
        for name, one in BUILTIN.items()
    }
    for style in _entries(registry):
        if style.name not in BUILTIN:
            found[style.name] = style
    for card in sorted((data_folder() / "styles").glob(f"*/{CARD}")):
        for style in read_registry(card):  # as it was when its license was accepted
            found[style.name] = style
    return list(found.values())


def _entries(registry: str | os.PathLike[str] | None) -> Iterator[Style]:
    yield from read_registry(TABLE)
    for path in sorted(_added_folder().glob("*.json")):
        yield from read_registry(path)
    own = registry or os.environ.get(REGISTRY_VARIABLE)
    if own:
        yield from read_registry(own)


def _added_folder() -> Path:
    return data_folder() / "registry"


def find_style(name: str, registry: str | os.PathLike[str] | None = None) -> Style:
    """Return a style by its name.

    Raises:
        ValueError: There is none; or as of `list_styles`.
    """
    styles = {style.name: style for style in list_styles(registry)}
    if name not in styles:
        near = did_you_mean([name], styles) or "; anime-tf styles list shows all"
        raise ValueError(f"{name}: no such style{near}")
    return styles[name]


def style_of(weights: str | os.PathLike[str]) -> Style | None:
    """Return the built-in or cached style that a name or path means; None for other weights."""
    here = (style for style in list_styles() if style.state != "available")
    name = os.fspath(weights)
    return next((one for one in here if name == one.name or name == str(one.path)), None)


def weights_path(name_or_path: str | os.PathLike[str]) -> Path:
    """Return the path of weights that exist.

    Args:
        name_or_path: Name of a style that is built in or cached, or a path; ``./NAME`` is a file
            that has the name of a style.

    Raises:
        FileNotFoundError: Neither a style nor a path; a style that is not downloaded yet; or the
            file of a style is missing.
        ValueError: The file of a style is damaged, the path is that of a photo or video, or the
            weights must be converted first.
    """
    name = os.fspath(name_or_path)
    if name in BUILTIN:
        return builtin_file(name)
    path = Path(name)
    for verb, suffixes in (("infer", PICTURE_SUFFIXES), ("video", VIDEO_SUFFIXES)):
        if path.suffix.lower() in suffixes:
            command = command_line(["anime-tf", verb, name])
            raise ValueError(
                f"{name}: expected weights, got a photo or video; run {command}, or in Python "
                'Stylizer("cel")(photo)'
            )
    styles = {} if os.sep in name else {style.name: style for style in list_styles()}
    if name in styles and styles[name].state == "cached":
        return _cached_file(styles[name])
    _check_kind(path)
    if path.exists():
        return path
    if name in styles:
        raise FileNotFoundError(
            f"{name}: this style is not downloaded yet; run anime-tf styles get {name}"
        )
    near = did_you_mean([name], styles)
    raise FileNotFoundError(
        f"{name}: no such weights{near}; expected a style (anime-tf styles list) or the path of a "
        ".keras file"
    )


def _check_kind(path: Path) -> None:
    """Raise ValueError for legacy weights; it names the command that converts them."""
    suffix, files = path.suffix.lower(), list(path.iterdir()) if path.is_dir() else []
    suffixes = {file.suffix.lower() for file in files}
    if suffix in (".pt", ".pth") and path.exists():
        kind, source = "a PyTorch state dict", "torch"
    elif (suffix == ".npy" and path.exists()) or ".npy" in suffixes:
        kind, source = "CartoonGAN's arrays", "cartoongan"
        path = path if path.is_dir() else path.absolute().parent
    elif (
        path.with_name(f"{path.name}.index").is_file()
        or (path.is_file() and re.fullmatch(r"\.(index|meta|data-\d+-of-\d+)", suffix))
        or (".index" in suffixes and "saved_model.pb" not in {file.name for file in files})
    ):
        kind, source = "a TensorFlow 1 checkpoint", "tf1"
        if path.is_file():
            path = path.with_suffix(".index")
    else:
        return
    words = [f"--source={source}", f"--input={path}", f"--output={path.stem}.keras"]
    raise ValueError(
        f"{path}: expected a .keras archive or an export, got {kind}; convert it first: "
        f"{command_line(['anime-tf', 'convert', *words])}"
    )


def _cached_file(style: Style) -> Path:
    path = style.path
    found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"
    if found != style.weights_sha256:
        raise ValueError(
            f"{path}: expected the style {style.name} with sha256 {style.weights_sha256}, got "
            f"{found}; run anime-tf styles remove {style.name}, then styles get {style.name}"
        )
    return path


def add_styles(path: str | os.PathLike[str]) -> list[Style]:
    """Add the entries of a JSON file to the user's registry; return them.

    Raises:
        OSError: The file cannot be read, or the registry cannot be written.
        ValueError: A wrong entry, or the name of a built-in style.
    """
    styles = read_registry(path)
    for style in styles:
        if style.name in BUILTIN:
            raise ValueError(f"{style.name}: this is a built-in style; choose another name")
    folder = _added_folder()
    folder.mkdir(parents=True, exist_ok=True)
    for style in styles:
        text = json.dumps(style.as_dict(), indent=1, ensure_ascii=False) + "\n"
        write_bytes(folder / f"{style.name}.json", text.encode())
    return styles


def remove_style(name: str) -> str:
    """Remove the cached weights of a style, or, if there are none, its added entry.

    Returns what was removed, in words.

    Raises:
        ValueError: There is neither.
    """
    if name in BUILTIN:
        raise ValueError(f"{name}: a built-in style cannot be removed")
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name}: expected the name of a style")
    folder, entry = data_folder() / "styles" / name, _added_folder() / f"{name}.json"
    if folder.is_dir():
        shutil.rmtree(folder)
        return f"weights in {folder}"
    if entry.is_file():
        entry.unlink()
        return f"entry {entry}"
    raise ValueError(f"{name}: nothing to remove; anime-tf styles list shows what is cached")


def explain_styles(styles: Sequence[Style]) -> str:
    """Return the cards of styles as text."""
    return "\n\n".join(_card(style) for style in styles)


def _card(style: Style) -> str:
    license = style.license
    rows = {
        "state": style.state + (f", {style.path}" if style.state == "cached" else ""),
        "network": style.model,
        "good for": style.good_for,
        "authors": style.authors,
        "source": f"{style.repository} at {style.commit}" if style.commit else style.base_url,
        "download": format_size(style.size) if style.size else "",
        "license": license.name + (" (accept it to download)" if license.noncommercial else ""),
        "": license.text,
        "license text": license.url,
        "training data": style.training_data,
        "settings": format_settings(style.settings) or "default",
    }
    lines = [f"  {key:14} {value}" for key, value in rows.items() if value]
    return "\n".join([style.name, *lines])


def format_settings(settings: Mapping[str, Any]) -> str:
    """Return settings as flags."""
    return " ".join(
        f"--{key}" if value is True else f"--{key}={value}" for key, value in settings.items()
    )


def format_size(size: int | None) -> str:
    """Return a size in MB."""
    return "-" if size is None else f"{size / 1e6:.1f} MB"
