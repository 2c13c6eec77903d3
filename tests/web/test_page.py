"""The page in its static form, in a browser: the network runs there."""

from __future__ import annotations

import functools
import http.server
import io
import os
import shutil
import struct
import sys
import threading
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from picture_files import exif, jpeg_with_exif, png_chunk
from web_files import wait_until

from anime_tf.io.pictures import read_picture

SECONDS = 60_000  # milliseconds: machines of tests are busy
LEVELS = 2  # of 255, against infer.py: other kernels add up in another order


WEB = Path(__file__).resolve().parents[2] / "deploy" / "web"
CODE = "https://example.org/anime_tf"


class _Files(http.server.SimpleHTTPRequestHandler):
    """A plain host of files that sends the headers of docs/web.md."""

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *_) -> None:
        pass


@pytest.fixture(scope="module")
def static_site(chromium, built_page, weights, tmp_path_factory):
    """Address of the page in its static form, with the style of `weights`."""
    sys.path.insert(0, str(WEB))
    try:
        from make_styles import write_styles
    finally:
        sys.path.pop(0)
    site = tmp_path_factory.mktemp("site") / "anime"
    shutil.copytree(built_page, site, copy_function=os.link)
    write_styles([str(weights)], site / "models", CODE)
    # In a folder of its host: all addresses of the page are relative.
    handler = functools.partial(_Files, directory=str(site.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as host:
        thread = threading.Thread(target=host.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{host.server_port}/anime/"
        host.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def photo_file(tmp_path_factory):
    """A photo of 90 x 70 pixels, which the network's stride does not divide."""
    y, x = np.mgrid[:70, :90]
    waves = [np.sin(x * a + y * b) for a, b in ((0.1, 0.2), (0.3, 0.05), (0.02, 0.1))]
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    cv2.imwrite(str(path), np.rint(np.stack(waves, -1) * 100 + 120).astype(np.uint8))
    return path


def drawn(page, site, *files):
    """Opens the page, gives it files, and waits until it is done with them."""
    page.goto(site)
    page.set_input_files("#pick", files)
    cards = page.locator("#cards > li")
    for i in range(len(files)):
        card = cards.nth(i)
        card.locator(".compare, .problem").first.wait_for(timeout=SECONDS)
    return cards


def saved(page, button):
    with page.expect_download() as download:
        button.click()
    return download.value.path().read_bytes(), download.value.suggested_filename


def pixels(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1].astype(int)


@pytest.fixture(scope="module")
def stylizer(weights, tmp_path_factory):
    """What `infer.py --engine=tflite` makes pictures with."""
    from anime_tf.export.tflite import convert_tflite
    from anime_tf.inference.padded_generator import PaddedGenerator
    from anime_tf.inference.stylizer import Stylizer
    from anime_tf.models.archive import load_generator

    path = tmp_path_factory.mktemp("tflite") / "model.tflite"
    path.write_bytes(convert_tflite(PaddedGenerator(load_generator(weights))))
    return Stylizer(path, engine="tflite")


def test_a_dropped_photo_is_drawn_as_by_infer_and_never_sent(
    page, static_site, photo_file, stylizer
):
    asked = []
    page.on("request", lambda request: asked.append((request.method, request.url)))
    page.goto(static_site)
    page.locator("#about a").first.wait_for()
    first = page.evaluate(
        "performance.getEntriesByType('resource').reduce((n, e) => n + e.transferSize, 0)"
    )
    assert 50_000 < first < 200_000, "bytes of the first load"
    data = page.evaluate_handle(
        """bytes => {
            const data = new DataTransfer();
            data.items.add(new File([Uint8Array.from(bytes)], 'photo.png'));
            return data;
        }""",
        list(photo_file.read_bytes()),
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": data})
    card = page.locator("li.card")
    card.locator(".compare").wait_for(timeout=SECONDS)
    assert card.get_attribute("data-state") == "done"
    assert "photo.png is drawn" in page.inner_text("#status")
    assert "90 × 70" in card.locator(".words").inner_text()
    result, name = saved(page, card.locator("button.save"))
    assert name == "photo_anime.png"
    after = stylizer.with_settings(strength=1.0, keep_color=False)
    expected = after(read_picture(photo_file).rgb_u8).astype(int)
    assert np.abs(pixels(result) - expected).max() <= LEVELS
    assert {method for method, _ in asked} == {"GET"}
    assert all(url.startswith((static_site, "blob:")) for _, url in asked)
    about = page.inner_text("#about")
    assert "small" in about and "license" in about
    assert page.locator("#about a").first.get_attribute("href") == CODE


def test_the_slider_moves_and_options_are_followed(page, static_site, photo_file, stylizer):
    card = drawn(page, static_site, photo_file)
    slider = card.locator("[role=slider]")
    assert slider.get_attribute("aria-valuenow") == "50"
    slider.focus()
    for pressed, value in (("ArrowRight", "52"), ("PageDown", "42"), ("Home", "0"), ("End", "100")):
        page.keyboard.press(pressed)
        assert slider.get_attribute("aria-valuenow") == value
    box = card.locator(".compare").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 30)
    page.mouse.up()
    assert slider.get_attribute("aria-valuenow") == "25"

    photo = read_picture(photo_file).rgb_u8
    for strength, keep in ((0.0, False), (1.0, True), (0.5, True), (0.25, False)):
        page.locator("#keep").set_checked(keep)
        page.locator("#strength").fill(str(round(100 * strength)))
        page.locator("#strength").dispatch_event("change")
        page.locator("li.card[data-state=done]").wait_for(timeout=SECONDS)
        after = stylizer.with_settings(strength=strength, keep_color=keep)
        result, _ = saved(page, card.locator("button.save"))
        off = np.abs(pixels(result) - after(photo)).max()
        assert off <= (LEVELS if strength else 0), (strength, keep)
    assert slider.get_attribute("aria-valuenow") == "25", "the slider stays where it was"

    page.locator("#format").select_option("jpeg")
    coded, name = saved(page, card.locator("button.save"))
    assert (name, coded[:2]) == ("photo_anime.jpg", b"\xff\xd8")
    assert np.abs(pixels(coded) - pixels(result)).mean() < 8, "JPEG on noise"


def _png_of(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header)


def test_what_cannot_be_drawn_is_told_in_words_and_the_rest_is_saved_as_zip(
    page, static_site, photo_file, tmp_path
):
    (tmp_path / "notes.jpg").write_text("Not a picture.\n")
    (tmp_path / "huge.png").write_bytes(_png_of(20_000, 10_000))
    (tmp_path / "cut.png").write_bytes(photo_file.read_bytes()[:60])
    (tmp_path / "clip.jpg").write_bytes(b"\0\0\0\x18ftypisom" + bytes(40))
    with (tmp_path / "long.jpg").open("wb") as file:
        file.truncate(1_000_000_000)  # sparse
    names = ("notes.jpg", "huge.png", "cut.png", "clip.jpg", "long.jpg")
    files = [tmp_path / name for name in names]
    cards = drawn(page, static_site, *files, photo_file, photo_file)
    said = {
        card.locator(".name").inner_text(): card.locator(".problem").inner_text()
        for card in cards.all()
        if card.get_attribute("data-state") == "failed"
    }
    assert said.keys() == set(names)
    assert said["notes.jpg"] == "notes.jpg is not a picture: it holds text."
    assert "200 megapixels (20000 × 10000)" in said["huge.png"]
    assert "damaged" in said["cut.png"]
    assert "video" in said["clip.jpg"]
    assert "1000 MB" in said["long.jpg"]

    archive, name = saved(page, page.locator("#zip"))
    assert name == "anime.zip"
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert opened.testzip() is None
        assert opened.namelist() == ["photo_anime.png", "photo_anime-2.png"]
        assert opened.read("photo_anime.png")[1:4] == b"PNG"

    for _ in cards.all():
        cards.first.get_by_role("button", name="Remove").click()
    assert page.locator("#work").is_hidden()


def test_a_large_photo_is_reduced_and_that_is_told(page, static_site, tmp_path):
    cv2.imwrite(str(tmp_path / "large.jpg"), np.full((300, 1200, 3), (90, 140, 200), np.uint8))
    page.goto(static_site)
    page.locator("#about a").first.wait_for()
    assert "the first photo fetches" in page.inner_text("#where")
    page.set_input_files("#pick", tmp_path / "large.jpg")
    card = page.locator("li.card")
    card.locator(".compare").wait_for(timeout=SECONDS)
    words = card.locator(".words").inner_text()
    assert words.startswith("Reduced from 1200 × 300 to 1024 × 256")
    assert "per megapixel" in page.inner_text("#where"), "how long it takes on this device"
    page.locator("#side").select_option("512")
    page.locator("li.card[data-state=done]").filter(has_text="to 512 × 128").wait_for(
        timeout=SECONDS
    )
    result, _ = saved(page, card.locator("button.save"))
    assert pixels(result).shape == (128, 512, 3)


def test_a_photo_that_lies_on_its_side_is_drawn_upright(
    page, static_site, photo_file, stylizer, tmp_path
):
    coded = cv2.imencode(".jpg", cv2.imread(str(photo_file)))[1].tobytes()
    (tmp_path / "turned.jpg").write_bytes(jpeg_with_exif(coded, exif(6)))
    upright = read_picture(tmp_path / "turned.jpg").rgb_u8
    assert upright.shape == (90, 70, 3)
    card = drawn(page, static_site, tmp_path / "turned.jpg")
    assert card.locator(".words").inner_text().startswith("70 × 90")
    result, _ = saved(page, card.locator("button.save"))
    after = stylizer.with_settings(strength=1.0, keep_color=False)
    # The two may also decode JPEG differently, by a level that the network makes more of.
    assert np.abs(pixels(result) - after(upright)).max() <= 2 * LEVELS


def test_the_camera_is_drawn_live_in_the_browser(page, static_site):
    asked = []
    page.goto(static_site + "?live_fps=0.01")  # machines of tests are slow
    page.locator("#about a").first.wait_for()
    page.locator("#camera").click()
    wait_until(page, "document.getElementById('finder').videoWidth > 0")
    page.locator("#live").wait_for(timeout=SECONDS)
    page.on("request", lambda request: asked.append(request.method))
    page.locator("#live-on").check()
    page.locator("#live-rate").filter(has_text="frames/s").wait_for(timeout=SECONDS)
    assert page.locator("#drawn").is_visible()
    page.locator("#leave").click()
    wait_until(page, "document.getElementById('finder').srcObject === null")
    assert set(asked) <= {"GET"}, "nothing leaves the browser"


def test_on_a_phone_in_the_dark_nothing_runs_out_of_the_screen(chromium, static_site, photo_file):
    wrong = []
    with chromium.new_context(
        viewport={"width": 360, "height": 740},
        is_mobile=True,
        has_touch=True,
        color_scheme="dark",
    ) as context:
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        card = drawn(page, static_site, photo_file)
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 20, 28)"
        box = card.locator(".compare").bounding_box()
        page.touchscreen.tap(box["x"] + box["width"] * 0.75, box["y"] + box["height"] / 2)
        assert card.locator("[role=slider]").get_attribute("aria-valuenow") == "75"
        for button in page.locator("main button:visible, main label.button").all():
            assert button.bounding_box()["height"] >= 42, "a finger finds it"
        assert wrong == []


SETTLED = """async () => {
    const frame = () => new Promise(requestAnimationFrame);
    await frame(), await frame();
    await Promise.allSettled(document.getAnimations().map((one) => one.finished));
}"""
"""Waits until colors and sizes have changed."""


def test_the_keyboard_reaches_everything_and_axe_finds_nothing(page, static_site, photo_file):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page.goto(static_site)
    page.locator("#about a").first.wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    reached = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate("document.activeElement.id || document.activeElement.dataset.sample")
        )
    assert reached >= {"pick", "camera", "portrait", "lake", "colosseum", "osprey"}
    page.locator("[data-sample=portrait]").press("Enter")
    page.locator("li.card .compare, li.card .problem").first.wait_for(timeout=SECONDS)
    assert page.locator("#facts").is_hidden()
    for scheme, width in (("light", 1280), ("dark", 1280), ("light", 390)):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # no half-way colors
        page.set_viewport_size({"width": width, "height": 844})
        page.evaluate(SETTLED)
        found = axe.run(page).response["violations"]
        assert not found, [(one["id"], one["nodes"][0]["html"]) for one in found]
