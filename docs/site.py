"""Hooks of MkDocs: the reference of the command line, and links to files outside of docs/."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
_LINK = re.compile(r"(\]\()((?:\.\./)+)([^)#\s]+)((?:#[^)\s]*)?\))")
# pages of the site that are written elsewhere: their name -> their file
_COPIED = {"tutorials/phone.md": "deploy/mobile/README.md"}


def command_reference() -> str:
    """Return the reference of all commands in Markdown, made from their configs."""
    from anime_tf.cli import app

    lines = [
        "# Commands and flags",
        "",
        "Made from the settings in the code; `anime-tf VERB --help` shows the same. A flag is",
        "written `--name=value`, a true-or-false flag `--name` or `--noname`. Every command also",
        "takes `--debug` (debug logs, and errors with their traceback) and `--flagfile=FILE`",
        "(more flags, one a line).",
        "",
        "| command | does |",
        "| --- | --- |",
    ]
    commands = list(app.commands())
    for path, command in commands:
        lines.append(f"| [`{path}`](#{path.replace(' ', '-')}) | {command.summary} |")
    for path, command in commands:
        lines += ["", f"## {path}", "", command.summary, "", "```"]
        examples = command.example.strip().splitlines() or [""]
        lines += [f"anime-tf {path} {example}".strip() for example in examples] + ["```", ""]
        settings = [(g, o) for g in command.groups for o in g.settings.items()]
        if settings:
            lines += ["| flag | default | meaning |", "| --- | --- | --- |"]
        for group, (name, one) in settings:
            about = group.note + one.help
            if one.choices:
                several = "Some of" if one.type is tuple else "One of"
                about += f" {several}: {', '.join(f'`{c}`' for c in one.choices)}."
            default = "required" if one.required else app.default_text(one)
            default = f"`{default}`" if default and not one.required else default
            lines.append(f"| `--{name}` | {default} | {_cell(about)} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def on_files(files: Any, config: Any) -> Any:
    """Add the generated and the copied pages."""
    sys.path.insert(0, str(ROOT))
    files.append(File.generated(config, "reference/cli.md", content=command_reference()))
    for name, source in _COPIED.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        # as if it had been written in the folder of the page
        text = re.sub(r"\]\((?:\.\./)+docs/", "](../", text)
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Point links to files outside of docs/ to the repository."""
    here = (ROOT / "docs" / page.file.src_uri).parent

    def replace(match: re.Match[str]) -> str:
        target = (here / (match[2] + match[3])).resolve()
        if target.is_relative_to(ROOT / "docs") or not target.exists():
            return match[0]
        name = target.relative_to(ROOT).as_posix()
        copied = {source: page_name for page_name, source in _COPIED.items()}
        if name in copied:
            up = "../" * page.file.src_uri.count("/")
            return match[1] + up + copied[name] + match[4]
        return f"{match[1]}{config.repo_url}/blob/main/{name}{match[4]}"

    return _LINK.sub(replace, markdown)
