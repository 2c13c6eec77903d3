"""The rules of docs/architecture.md, checked for every file of the package."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "anime_tf"

LAYERS = (
    ("errors", "config"),
    ("io",),
    ("models",),
    ("losses",),
    ("conversion",),
    ("metrics",),
    ("datasets",),
    ("training",),
    ("styles",),
    ("inference",),
    ("faces",),
    ("video",),
    ("export", "serving", "web", "bulk"),
    ("cli",),
)
"""Each folder imports only from itself and from those before it."""

RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
MODULES = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Yields the absolute names that a file imports, also those for type checking alone."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: expected an absolute import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def folder(path: Path) -> str:
    """Returns the first folder of the package that a file lies in, or its own name."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_every_folder_has_a_rank_and_a_line_in_the_docs():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    folders = {p.parent for p in MODULES} - {PACKAGE}
    assert {folder(p) for p in folders} | {"errors", "config"} == set(RANK)
    missing = [name(p) for p in folders if f"| `{name(p)}` |" not in text]
    assert not missing


def test_imports_run_one_way():
    wrong = []
    for path in MODULES:
        here = folder(path)
        if here in ("__init__", "__main__"):
            continue
        for imported in imports(path):
            parts = imported.split(".")
            if parts[0] in ("recipes", "benchmarks"):
                wrong.append(f"{name(path)} imports {imported}")
            elif parts[0] == "anime_tf" and len(parts) > 1 and parts[1] in RANK:
                there = parts[1]
                if there != here and RANK[there] >= RANK[here]:
                    wrong.append(f"{name(path)} imports {imported}")
    assert not wrong, "\n".join(sorted(set(wrong)))


@pytest.mark.parametrize("part", ["models", "losses"])
def test_networks_and_losses_do_not_import_tensorflow(part):
    wrong = [
        name(path)
        for path in (PACKAGE / part).rglob("*.py")
        if any(imported.split(".")[0] == "tensorflow" for imported in imports(path))
    ]
    assert not wrong


def test_only_the_command_line_knows_flags():
    wrong = [
        name(path)
        for path in MODULES
        if folder(path) != "cli"
        and any(
            imported in ("absl.flags", "absl.app") or imported.startswith(("absl.flags.",))
            for imported in imports(path)
        )
    ]
    assert not wrong


def test_there_is_no_ambient_state():
    wrong = [
        name(path)
        for path in MODULES
        if any(imported.split(".")[0] == "contextvars" for imported in imports(path))
    ]
    assert not wrong


def test_tests_mirror_the_package():
    """`tests/a/test_b.py` or `test_b_topic.py` tests `a/b` of the package, repository or tests."""
    tests = ROOT / "tests"
    wrong = []
    for path in tests.rglob("test_*.py"):
        part, words = path.parent.relative_to(tests), path.stem.split("_")[1:]
        names = ["_".join(words[:count]) for count in range(1, len(words) + 1)]
        names += [f"__{one}__" for one in names]  # __main__
        tested = [base / part / one for base in (PACKAGE, ROOT, tests) for one in names]
        own = part == Path()  # architecture and project have no module
        if not own and not any(one.is_dir() or one.with_suffix(".py").exists() for one in tested):
            wrong.append(name(path))
    assert not wrong
