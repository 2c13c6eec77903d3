"""README and the docs: links lead somewhere, commands have the flags they use, README's run."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from anime_tf.cli import app

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "deploy/*/*.md", "samples/*.md", "recipes/**/*.md")
    for path in ROOT.glob(pattern)
    if "node_modules" not in path.parts
)
COMMON_FLAGS = {"help", "debug", "flagfile"}  # of every verb
# Made by docs/site.py for the site. A checkout does not have them, so no page links to them.
GENERATED = {ROOT / "docs/reference/cli.md", ROOT / "docs/tutorials/phone.md"}
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose(path: Path) -> str:
    return FENCE.sub("", path.read_text(encoding="utf-8"))


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)", prose(path), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", text.lower()).strip() for text in headings]
    return {text.replace(" ", "-") for text in plain}


def notebook_cells(path: Path, kind: str) -> list[str]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == kind]


def test_links_lead_to_files_and_headings_of_the_checkout():
    texts = {page: prose(page) for page in PAGES}
    texts |= {path: "\n\n".join(notebook_cells(path, "markdown")) for path in NOTEBOOKS}
    wrong = []
    for page, text in texts.items():
        for link in LINK.findall(text):
            if re.match(r"[a-z]+:", link):
                continue
            file, _, anchor = link.partition("#")
            target = (page.parent / file).resolve() if file else page
            missing_anchor = anchor and target.suffix == ".md" and anchor not in anchors(target)
            if not target.exists() or missing_anchor:
                wrong.append(f"{name(page)}: {link}")
    assert not wrong, "\n".join(wrong)


def test_pages_have_no_syntax_of_the_site_alone():
    """Tabs and admonitions, whose contents a viewer of the repository shows as code."""
    wrong = [
        f"{name(page)}: {line}"
        for page in PAGES
        for line in re.findall(r"^(?:===|!!!|\?\?\?) .*", prose(page), re.MULTILINE)
    ]
    assert not wrong, "\n".join(wrong)


def test_commands_run_in_the_command_prompt_of_windows():
    """It passes `#` and single quotes to the program, and does not continue a line after a `\\`."""
    wrong = []
    for page in PAGES:
        for language, block in FENCE.findall(page.read_text(encoding="utf-8")):
            if language not in ("", "sh", "bash"):
                continue
            for line in block.splitlines():
                ours = re.match(r"\s*(anime-tf|python \w+\.py) ", line)
                if re.search(r"(^|\s)#", line) or (ours and re.search(r"'|\\$|\$", line)):
                    wrong.append(f"{name(page)}: {line}")
    assert not wrong, "\n".join(wrong)


def inline_commands(text: str) -> Iterator[list[str]]:
    """Words of the anime-tf commands in a page's sentences and tables, after the program's name."""
    for found in re.findall(r"`anime-tf ([^`]+)`", FENCE.sub("", text)):
        yield shlex.split(found)


def commands(text: str) -> Iterator[list[str]]:
    """Words of the anime-tf commands of a page's code blocks, after the program's name."""
    for language, block in FENCE.findall(text):
        if language not in ("", "sh", "bash"):
            continue
        for line in block.replace("\\\n", " ").splitlines():
            found = re.match(r"\s*(?:anime-tf|python (train|infer|video|export)\.py) (.*)", line)
            if found:
                words = shlex.split(found[2], comments=True)
                words = words[: words.index("&&")] if "&&" in words else words
                yield [found[1], *words] if found[1] else words


def known_flags() -> dict[str, set[str]]:
    """Verb -> its flags, those of every verb among them."""
    return {
        path: {flag for group in command.groups for flag in group.settings} | COMMON_FLAGS
        for path, command in app.commands()
    }


def test_commands_use_flags_that_exist():
    flags = known_flags()
    groups = {path.split()[0] for path in flags if " " in path}
    wrong = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for words in (*commands(text), *inline_commands(text)):
            verb = next((" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in flags), "")
            group = words[0] in groups and len(words) == 1  # such as `anime-tf styles`
            if not verb and not group and words[0] not in ("help", "VERB", "NAME", "--version"):
                wrong.append(f"{name(page)}: anime-tf {' '.join(words)}")
            for flag in re.findall(r"^--(\w+)", "\n".join(words), re.MULTILINE) if verb else ():
                if not {flag, flag.removeprefix("no")} & flags[verb]:
                    wrong.append(f"{name(page)}: anime-tf {verb} --{flag}")
    assert not wrong, "\n".join(wrong)


# Of benchmarks/, recipes/, deploy/web/make_styles.py and bash.
OTHER_FLAGS = {"baselines", "models", "engines", "sizes", "rounds", "compiled", "read", "measure"}
OTHER_FLAGS |= {"shift", "code", "wait"}
OTHER_FLAGS |= {"version"}  # of anime-tf without a verb


def test_flags_in_the_text_exist():
    known = OTHER_FLAGS.union(*known_flags().values())
    wrong = [
        f"{name(page)}: --{flag}"
        for page in PAGES
        for flag in re.findall(
            r"`--(\w+)(?=[`=\s])", FENCE.sub("", page.read_text(encoding="utf-8"))
        )
        if not {flag, flag.removeprefix("no")} & known
    ]
    assert not wrong, "\n".join(wrong)


def test_every_page_is_in_the_navigation_of_the_site():
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    docs = ROOT / "docs"
    pages = {p.relative_to(docs).as_posix() for p in {*PAGES, *GENERATED} if docs in p.parents}
    assert {page for page in pages if page not in text} == set()


def write_video(path: Path, shots: list[np.ndarray], frames: int) -> None:
    height, width = shots[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (width, height))
    for shot in shots:
        for _ in range(frames):
            writer.write(shot)
    writer.release()


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    return [cv2.imread(str(path)) for path in sorted((ROOT / "samples").glob("*.jpg"))]


@pytest.fixture
def folder(tmp_path, monkeypatch, photos) -> Path:
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "clip.mp4", [cv2.resize(photos[0], (64, 48))], 3)
    return tmp_path


README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_commands_and_the_example_of_the_readme_run(folder):
    (five,) = (b for lang, b in FENCE.findall(README) if not lang and "doctor" in b)
    for words in commands(f"```\n{five}```"):
        assert app.main(words) == 0, words
    saved_model = "exported/saved_model/saved_model.pb"
    for written in ("anime.png", "anime/lake.jpg", "anime.mp4", saved_model):
        assert (folder / written).is_file(), written
    (example,) = (block for language, block in FENCE.findall(README) if language == "python")
    exec(compile(example, "README.md", "exec"), {})
    photo, anime = (cv2.imread(str(p)) for p in ("samples/lake.jpg", "lake_anime.png"))
    assert photo.shape == anime.shape
    assert 5 < np.abs(photo.astype(int) - anime).mean() < 60


def test_the_comparison_of_styles_runs(folder, photos):
    (folder / "photos").mkdir()
    for i, photo in enumerate(photos[:2]):
        cv2.imwrite(f"photos/{i}.png", photo[:64, :64])
    text = (ROOT / "docs/get_started.md").read_text(encoding="utf-8")
    (block,) = (block for _, block in FENCE.findall(text) if "compare/" in block)
    for words in commands(f"```\n{block}```"):
        assert app.main(words) == 0, words
    assert cv2.imread("compare.jpg").shape[1] == 3 * 64  # photo, cel and gouache


def test_the_training_of_the_readme_runs(folder, photos):
    for place in ("videos", "photos", "dataset/train_photo"):
        (folder / place).mkdir(parents=True)
    write_video(folder / "videos/film.mp4", photos, 20)
    for i, photo in enumerate(photos[:2]):
        cv2.imwrite(f"dataset/train_photo/{i}.png", photo[:96, :96])
    cv2.imwrite("photos/me.png", photos[0][:64, :64])
    tiny = (
        "--model=whitebox --generator_width=2 --discriminator_width=4 --image_size=32 "
        "--batch_size=1 --epochs=2 --init_epochs=1 --steps_per_epoch=1 "
        "--perceptual_weights=random --samples=1"
    )
    (block,) = (block for language, block in FENCE.findall(README) if language == "sh")
    for words in commands(f"```\n{block}```"):
        if words[0] == "train":  # it sets the threads before TensorFlow starts
            program = [sys.executable, ROOT / "train.py", *words[1:], *tiny.split()]
            subprocess.run(program, check=True, capture_output=True)
        else:
            assert app.main(words) == 0, words
    assert len(list((folder / "dataset/MyStyle/style").glob("*.*"))) >= 3
    assert (folder / "anime/me.png").is_file()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_are_stored_without_output_and_install_first(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert "pip" in "".join(code[0]["source"])
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
