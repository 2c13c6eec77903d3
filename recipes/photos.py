"""Collect the training photos that `photos.json` lists from downloaded Debian and PyPI packages.

    apt-get download PACKAGE=VERSION ...      # registry "debian"
    pip download --no-deps PACKAGE==VERSION   # registry "pypi"; with --no-binary=:all: for
                                              # face_recognition, whose wheel has no photos
    python -m recipes.photos --packages=DOWNLOADS --output=photos

Debian packages are unpacked by `dpkg-deb`, JPEG XL is decoded by `djxl` (package libjxl-tools).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from anime_tf.io.geometry import limit_array_side
from anime_tf.io.pictures import read_picture, write_picture

CATALOG = Path(__file__).with_suffix(".json")

# The painter's lengths are meant for pictures of this longer side.
SIDE = 704

# Corner views show details of large photos: this share of each side, where enough pixels remain.
_VIEW_SHARE = 0.55


def catalog_files(package: dict[str, Any]) -> list[str]:
    """List the paths of a catalog entry's photos inside its package."""
    return [f"{package['folder']}/{name}" for group in package["photos"] for name in group["files"]]


def corner_views(photo_u8: np.ndarray, side: int = SIDE) -> list[np.ndarray]:
    """Cut four overlapping corners out of a photo that has pixels for it; else return none.

    Args:
        photo_u8: RGB, uint8 (h, w, 3).
        side: The longer side that each view must have at least.
    """
    height, width = (round(_VIEW_SHARE * length) for length in photo_u8.shape[:2])
    if max(height, width) < side:
        return []
    rows, columns = (slice(height), slice(-height, None)), (slice(width), slice(-width, None))
    return [photo_u8[row, column] for row in rows for column in columns]


def _find_archive(packages_dir: Path, package: dict[str, Any]) -> Path:
    name, version = package["package"], package["version"]
    names = {name, name.replace("-", "_")}
    found = [
        path
        for path in sorted(packages_dir.iterdir())
        if any(path.name.startswith((f"{n}_{version}", f"{n}-{version}")) for n in names)
    ]
    if not found:
        raise FileNotFoundError(
            f"{packages_dir}: expected {name} {version}, got no file of that name; download it "
            "as `python -m recipes.photos --help` says"
        )
    return found[0]


def unpack(archive: Path, members: list[str], folder: Path) -> None:
    """Extract members of a .deb, a wheel or a source archive into a folder."""
    if archive.suffix == ".deb":
        subprocess.run(["dpkg-deb", "-x", archive, folder], check=True)
    elif archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for member in members:
                wheel.extract(member, folder)
    else:
        with tarfile.open(archive) as tar:
            for member in members:
                tar.extract(member, folder, filter="data")


def _read(path: Path) -> np.ndarray:
    if path.suffix == ".jxl":
        png = path.with_suffix(".png")
        subprocess.run(["djxl", "--quiet", path, png], check=True)
        path = png
    return read_picture(path).rgb_u8


def _views(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    photo = _read(path)
    yield path.stem, photo
    for number, view in enumerate(corner_views(photo), 1):
        yield f"{path.stem}_{number}", view


def collect(packages_dir: Path, output_dir: Path, catalog: list[dict[str, Any]]) -> int:
    """Write every photo of the catalog, and corners of the large ones, as PACKAGE_NAME.png.

    Returns:
        The number of files written.
    """
    output_dir.mkdir(parents=True, exist_ok=True)
    count = 0
    for package in catalog:
        members = catalog_files(package)
        archive = _find_archive(packages_dir, package)
        with tempfile.TemporaryDirectory() as folder:
            unpack(archive, members, Path(folder))
            for member in members:
                for name, view in _views(Path(folder, member)):
                    path = output_dir / f"{package['package']}_{name}.png"
                    write_picture(path, limit_array_side(view, SIDE))
                    count += 1
    return count


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--packages", type=Path, required=True, help="Folder of the packages.")
    parser.add_argument("--output", type=Path, required=True, help="Folder of the photos.")
    arguments = parser.parse_args(argv)
    catalog = json.loads(CATALOG.read_text(encoding="utf-8"))
    try:
        count = collect(arguments.packages, arguments.output, catalog)
    except (OSError, KeyError, ValueError, subprocess.CalledProcessError) as error:
        print(f"recipes.photos: {error}", file=sys.stderr)
        return 2
    print(f"{count} photos in {arguments.output}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
