"""The project's own files agree with each other: pins, versions, the licenses."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import anime_tf

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
# The platforms that pip may meet; the pins must not leave one of them without a version.
PLATFORMS = (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"), ("win32", "AMD64"))


def read_toml(path: Path) -> dict:
    """Python 3.10 has no tomllib; there pytest brings tomli."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(path.read_text(encoding="utf-8"))


PROJECT = read_toml(ROOT / "pyproject.toml")["project"]


def environment(python: str, platform: str, machine: str) -> dict[str, str]:
    return {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": platform,
        "platform_machine": machine,
        "platform_system": {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}[platform],
        "os_name": "nt" if platform == "win32" else "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "extra": "",
    }


def pins(name: str, python: str, platform: str = "linux", machine: str = "x86_64") -> dict:
    """The versions that a requirements file pins for one Python on one platform."""
    found: dict[str, Version] = {}
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        requirement = Requirement(line)
        if requirement.marker and not requirement.marker.evaluate(
            environment(python, platform, machine)
        ):
            continue
        (specifier,) = requirement.specifier
        key = canonicalize_name(requirement.name)
        assert specifier.operator == "==", f"{name}: {line} is no exact pin"
        assert key not in found, f"{name}: two pins of {key} on Python {python}, {platform}"
        found[key] = Version(specifier.version)
    return found


def files_of_the_project() -> Iterator[Path]:
    """Every file that is not ignored; by .gitignore's own names, for git may not be there."""
    ignored = {line.rstrip("/") for line in (ROOT / ".gitignore").read_text().split()} | {".git"}
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(
            n for n in folders if n not in ignored and not n.endswith((".egg-info", ".old"))
        )
        yield from (Path(folder) / n for n in sorted(names) if n not in ignored)


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(("platform", "machine"), PLATFORMS)
def test_every_dependency_is_pinned_within_its_range(python, platform, machine):
    run = pins("requirements.txt", python, platform, machine)
    dev = pins("requirements-dev.txt", python, platform, machine)
    here = environment(python, platform, machine)
    extras = PROJECT["optional-dependencies"]
    for pinned, lines in ((run, PROJECT["dependencies"]), (dev, extras["dev"])):
        for wanted in map(Requirement, lines):
            if not wanted.marker or wanted.marker.evaluate(here):
                assert pinned[canonicalize_name(wanted.name)] in wanted.specifier, str(wanted)
    assert run.items() <= dev.items(), "requirements-dev.txt must hold requirements.txt's pins"


def test_the_pins_match_what_is_installed():
    """The tests mean little if they ran on other versions than users get."""
    python = "{}.{}".format(*sys.version_info)
    expected = pins("requirements.txt", python)
    different = {}
    for name in expected.keys() & {
        canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]
    }:
        try:
            installed = Version(metadata.version(name))
        except metadata.PackageNotFoundError:
            installed = None
        if installed != expected[name]:
            different[name] = f"installed {installed}, pinned {expected[name]}"
    if different and Path(sys.prefix) != ROOT / ".venv":
        pytest.skip(f"run outside of the project's .venv: {different}")
    assert not different


def test_doctor_knows_the_dependencies():
    """`anime-tf doctor` has lists of its own: a checkout may run without being installed."""
    from anime_tf.cli.doctor import EXTRAS, REQUIRED

    def names(lines: list[str]) -> set[str]:
        return {Requirement(line).name for line in lines}

    extras = PROJECT["optional-dependencies"]
    assert set(REQUIRED) <= names(PROJECT["dependencies"])
    assert EXTRAS.keys() == extras.keys() - {"dev", "benchmark", "gpu"}
    for name, extra in EXTRAS.items():
        assert set(extra.packages) == names(extras[name]) - {"backports.strenum"}, name


def test_the_version_is_the_packages():
    assert "version" not in PROJECT and PROJECT["dynamic"] == ["version"]
    dynamic = read_toml(ROOT / "pyproject.toml")["tool"]["setuptools"]["dynamic"]
    assert dynamic == {"version": {"attr": "anime_tf.__version__"}}
    Version(anime_tf.__version__)


def test_the_citation_names_this_version():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {anime_tf.__version__}\n" in text


def test_one_address_of_the_project():
    """One command of CONTRIBUTING.md replaces it; it needs the same text everywhere."""
    source = PROJECT["urls"]["Source"]
    for url in PROJECT["urls"].values():
        assert url == source or url.startswith(f"{source}/"), url
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert re.findall(r"^repo_url: (.*)$", site, re.MULTILINE) == [source]
    for path in (ROOT / "examples").glob("*.ipynb"):
        code = path.read_text(encoding="utf-8").replace('\\"', '"')
        assert re.findall(r'REPOSITORY = "(.*?)"', code) == [source], path.name
    command = f"git grep -lz {source} | xargs -0 perl -pi -e 's#{source}#"
    assert command in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_copyright_is_named():
    """LICENSE is the unchanged text; its appendix asks for such a line with the work."""
    (author,) = PROJECT["authors"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"^Copyright 20\d\d {author['name']}", readme, re.MULTILINE)


def test_doctor_knows_every_extra_and_requirement():
    from anime_tf.cli import doctor

    extras = PROJECT["optional-dependencies"]
    assert {"dev", "benchmark", "gpu", *doctor.EXTRAS} == set(extras)
    for name, extra in doctor.EXTRAS.items():
        assert {Requirement(line).name for line in extras[name]} >= set(extra.packages), name
    required = {Requirement(line).name for line in PROJECT["dependencies"]}
    assert required >= set(doctor.REQUIRED)


def _build_wheel(folder: Path) -> Path:
    """Build the package as for a release, with checks of its description."""
    tree = folder / "tree"
    tree.mkdir()
    for name in ("README.md", "LICENSE", "pyproject.toml", "MANIFEST.in"):
        shutil.copy(ROOT / name, tree)
    ignored = shutil.ignore_patterns("__pycache__", "dist")
    shutil.copytree(ROOT / "anime_tf", tree / "anime_tf", ignore=ignored)
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(tree)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,), (archive,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    check = [sys.executable, "-m", "twine", "check", "--strict", str(wheel), str(archive)]
    subprocess.run(check, check=True, capture_output=True)
    return wheel


UNUSED = (".h", ".hpp", ".inc")  # most of TensorFlow's files


def _link_package(name: str, version: str, packages: Path) -> bool:
    """Link a package of this environment into another one; False if this one has no such."""
    try:
        installed = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    if Version(installed.version) != Version(version):
        return False
    source = str(installed.locate_file(""))
    files = [str(file) for file in installed.files or ()]
    files = [file for file in files if not file.startswith("..") and not file.endswith(UNUSED)]
    for folder in {os.path.dirname(file) for file in files}:
        (packages / folder).mkdir(parents=True, exist_ok=True)
    for file in files:
        os.symlink(os.path.join(source, file), packages / file)
    return True


def test_the_wheel_stylizes_in_an_empty_environment(tmp_path):
    """With no more than the packages that the wheel requires, all of them wheels and pinned.

    pip says which they are. They are linked from this environment, because unpacking 2 GB takes
    long. Where no package index answers, all of this environment's packages are there, and the
    test counts as skipped.
    """
    wheel = _build_wheel(tmp_path)
    environment = tmp_path / "environment"
    venv.create(environment, symlinks=True)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    small = f"absl-py=={pins('requirements.txt', '3.12')['absl-py']}"
    probe = ["download", "--no-deps", "--retries=0", "--timeout=15", "-d", str(tmp_path), small]
    is_online = not subprocess.run([*pip, *probe], check=False, capture_output=True).returncode
    install = [*pip, "--python", str(python), "install", "--no-compile", "--only-binary=:all:"]

    def run_install(*arguments: str) -> None:
        done = subprocess.run([*install, *arguments], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    run_install("--no-deps", "--no-index", str(wheel))
    (packages,) = environment.glob("lib/python*/site-packages")
    if is_online:
        report = tmp_path / "report.json"
        pinned = ["-c", str(ROOT / "requirements.txt"), str(wheel)]
        run_install("--dry-run", f"--report={report}", *pinned)
        for item in json.loads(report.read_text())["install"]:
            name, version = item["metadata"]["name"], item["metadata"]["version"]
            if not _link_package(name, version, packages):
                run_install("--no-deps", f"{name}=={version}")
    else:
        theirs = next(path for path in sys.path if path.endswith("site-packages"))
        (packages / "others.pth").write_text(theirs + "\n")
    photo, anime = ROOT / "samples" / "lake.jpg", tmp_path / "anime.png"
    done = subprocess.run(
        [str(environment / "bin" / "anime-tf"), "infer", str(photo), str(anime), "--max_side=64"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert anime.is_file()
    if not is_online:
        pytest.skip("no package index answers: it stylized with this environment's packages")


def test_the_pythons_are_the_same_everywhere():
    """pyproject's range, its classifiers and the bounds of .ci/make_venv.py."""
    from packaging.specifiers import SpecifierSet

    specifier = SpecifierSet(PROJECT["requires-python"])
    assert [f"3.{minor}" for minor in range(20) if f"3.{minor}.0" in specifier] == list(PYTHONS)
    named = {c.rpartition(" ")[2] for c in PROJECT["classifiers"] if ":: 3." in c}
    assert named == set(PYTHONS)
    script = (ROOT / ".ci" / "make_venv.py").read_text(encoding="utf-8")
    assert "OLDEST = (3, 10)\nNEWEST = (3, 13)\n" in script


def test_no_package_index_and_no_machine_is_named():
    """Where packages come from is the user's own setting, and no file knows its author's machine.

    The words are put together here, for this file is looked through as well.
    """
    words = [
        "py" + "pi.org",
        "python" + "hosted",
        "ana" + "conda.org",
        "--index" + "-url",
        "--extra-index" + "-url",
        "--trusted" + "-host",
        "PIP_" + "INDEX",
        "PIP_" + "FIND",
        *(f"/{folder}/" for folder in ("mnt", "root", "tmp/v", "work")),
    ]
    forbidden = re.compile("|".join(map(re.escape, words)), re.IGNORECASE)
    found = []
    for path in files_of_the_project():
        data = path.read_bytes()
        if b"\0" in data[:4096]:
            continue
        for number, line in enumerate(data.decode("utf-8").splitlines(), start=1):
            if forbidden.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert not found, "\n".join(found)


def test_the_vendored_pip_is_the_one_described():
    folder = ROOT / ".ci" / "wheels"
    (wheel,) = folder.glob("*.whl")
    row = rf"`{re.escape(wheel.name)}` \| `{hashlib.sha256(wheel.read_bytes()).hexdigest()}` \| MIT"
    assert re.search(row, (folder / "README.md").read_text(encoding="utf-8"))


def test_every_demo_photo_is_attributed_and_readable():
    import cv2

    text = (ROOT / "samples" / "README.md").read_text(encoding="utf-8")
    photos = [path for path in (ROOT / "samples").iterdir() if path.suffix != ".md"]
    assert len(photos) >= 2
    for path in photos:
        assert f"`{path.name}`" in text, f"samples/README.md does not attribute {path.name}"
        picture = cv2.imread(str(path))
        assert picture is not None and max(picture.shape) <= 1024, path


def test_the_built_in_styles_travel_with_the_package():
    """The wheel takes what package-data names; a style of another kind would be left behind."""
    tool = read_toml(ROOT / "pyproject.toml")["tool"]
    packed = tool["setuptools"]["package-data"]
    assert packed == {
        "anime_tf": ["py.typed"],
        "anime_tf.styles": ["registry.json", "weights/*"],
        "anime_tf.web": ["dist/**", "thumbnail.jpg"],
    }
    styles = ROOT / "anime_tf" / "styles" / "weights"
    assert list(styles.glob("*.keras"))
    assert [p for p in styles.glob("*") if p.is_dir() and p.name != "__pycache__"] == []


class TestMakeVenv:
    """.ci/make_venv.py in a project of its own, without any requirement and so without network."""

    @pytest.fixture
    def project(self, tmp_path: Path) -> Path:
        shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
        (tmp_path / "requirements.txt").write_text("# nothing\n")
        return tmp_path

    @staticmethod
    def make(project: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, ".ci/make_venv.py", "requirements.txt"]
        return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)

    def test_makes_keeps_updates_and_repairs(self, project: Path):
        record = project / ".venv" / "installed.json"
        busy = project / ".venv" / "busy"
        stranger = project / ".venv" / "stranger"

        made = self.make(project)
        assert made.returncode == 0, made.stderr
        assert "Installing requirements.txt" in made.stdout
        assert list(json.loads(record.read_text())["requirements"]) == ["requirements.txt"]
        stranger.touch()

        kept = self.make(project)
        assert (kept.returncode, kept.stdout) == (0, ""), "unchanged requirements: nothing to do"

        (project / "requirements.txt").write_text("./no-such-thing.whl\n")
        failed = self.make(project)
        assert failed.returncode == 1
        assert failed.stderr.splitlines()[-1].startswith("the installation failed: ")
        assert stranger.exists(), "changed requirements: into the same .venv"
        assert busy.exists() and not record.exists(), "half-made, and marked so"

        (project / "requirements.txt").write_text("# nothing again\n")
        repaired = self.make(project)
        assert repaired.returncode == 0, repaired.stderr
        assert not stranger.exists() and not busy.exists(), "half-made before: made afresh"
        pip = [str(project / ".venv/bin/python"), "-m", "pip", "--version"]
        answer = subprocess.run(pip, capture_output=True, text=True, check=True).stdout
        assert str(project / ".venv") in answer

    def test_keeps_a_venv_that_somebody_made_by_hand(self, project: Path):
        venv.create(project / ".venv", with_pip=False, symlinks=True)
        (project / ".venv" / "stranger").touch()
        made = self.make(project)
        assert made.returncode == 0, made.stderr
        assert (project / ".venv" / "stranger").exists()
