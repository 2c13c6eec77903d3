"""The page with the server behind it, in a real browser."""

import re
import struct
import zipfile

import numpy as np
import pytest
import requests
from picture_files import png_chunk, smooth_noise
from published_styles import STRICT, publish, serve, shrink, write_registry
from small_videos import moving, read, write_video
from web_files import wait_until

from anime_tf.io.pictures import decode_picture, encode_picture, write_picture

pytest.importorskip("aiohttp", reason="aiohttp (the extra web) is not installed")

from web_server import WebServer

from anime_tf.web.config import Limits
from anime_tf.web.page import find_page

LEVELS = 1
"""The same network twice."""


@pytest.fixture(scope="module")
def address(chromium, built_page, weights, tmp_path_factory):
    """The server's own page."""
    folder = tmp_path_factory.mktemp("private")
    with WebServer(weights, Limits(), find_page([built_page]), folder) as running:
        yield f"{running.url}/"
    assert list(folder.iterdir()) == []


def card(page, name: str):
    return page.locator("li.card").filter(has_text=name)


def problem(page, name: str) -> str:
    """What the page says of a file that it does not take."""
    words = card(page, name).locator(".problem")
    words.wait_for()
    return words.inner_text()


def test_a_photo_is_drawn_compared_and_saved(page, address, tmp_path):
    write_picture(tmp_path / "holiday.png", smooth_noise(60, 90))
    page.goto(address)
    page.locator("#where").filter(has_text="server").wait_for()
    assert "unknown" in page.locator("#about").inner_text(), "the license of weights by path"
    page.set_input_files("#pick", tmp_path / "holiday.png")
    done = page.locator("li.card[data-state=done]")
    done.wait_for()
    slider = done.locator("[role=slider]")
    before = float(slider.get_attribute("aria-valuenow"))
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert float(slider.get_attribute("aria-valuenow")) > before
    with page.expect_download() as download:
        done.locator(".save").click()
    assert download.value.suggested_filename == "holiday_anime.png"
    saved = decode_picture(download.value.path().read_bytes(), "saved").rgb_u8.astype(int)
    # test_server.py compares this one with the Stylizer.
    sent = (tmp_path / "holiday.png").read_bytes()
    answer = requests.post(f"{address}api/pictures", data=sent, timeout=60).content
    expected = decode_picture(answer, "answer").rgb_u8.astype(int)
    assert np.abs(saved - expected).max() <= LEVELS


def test_a_style_is_downloaded_and_chosen_by_its_thumbnail(page, address, tmp_path, monkeypatch):
    shrink(monkeypatch)
    monkeypatch.setenv("ANIME_TF_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    entry = publish(tmp_path / "www", "own")
    folder = f"{entry.pop('repository')}/{entry.pop('commit')}"
    write_picture(tmp_path / "holiday.png", smooth_noise(60, 90))
    with serve(tmp_path / "www") as (base, _):
        entry |= {"license": STRICT, "base_url": f"{base}/{folder}", "settings": {"strength": 0.5}}
        monkeypatch.setenv("ANIME_TF_REGISTRY", write_registry(tmp_path / "r.json", entry))
        page.goto(address)
        page.set_input_files("#pick", tmp_path / "holiday.png")
        page.locator("#more").click()
        item = page.locator("#zoo li").filter(has_text="Strict")
        assert "Non-commercial. Strict. Nothing for money." in item.inner_text()
        item.get_by_role("button").click()
        page.locator("#zoo-words").filter(has_text="own is here.").wait_for()
        page.locator("#zoo-close").click()
    thumbnail = page.locator("#looks button").filter(has_text="own")
    image = thumbnail.locator("img")
    image.scroll_into_view_if_needed()
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 192
    thumbnail.click()
    assert page.locator("#style").input_value() == "own"
    assert page.locator("#strength").input_value() == "50", "as the style recommends"
    page.locator("#about").filter(has_text="Strict").wait_for()
    page.locator("li.card[data-state=done]").wait_for()
    page.screenshot(path=tmp_path / "page.png")


def test_a_clip_is_drawn_with_its_sound(page, address, tmp_path):
    write_video(tmp_path / "clip.mp4", moving(12), audio="aac")
    page.goto(address)
    page.set_input_files("#pick", tmp_path / "clip.mp4")
    done = page.locator("li.card[data-state=done]")
    done.wait_for()
    with page.expect_download() as download:
        done.locator(".save").click()
    assert download.value.suggested_filename == "clip_anime.mp4"
    saved, source = read(download.value.path()), read(tmp_path / "clip.mp4")
    assert len(saved.frames) == 12
    assert saved.audio == source.audio


def test_what_is_no_photo_is_refused_in_words(page, address, tmp_path):
    (tmp_path / "notes.jpg").write_text("Buy milk, and colours.\n" * 20)
    header = struct.pack(">IIBBBBB", 20_000, 10_000, 8, 2, 0, 0, 0)
    parts = [png_chunk(b"IHDR", header), png_chunk(b"IDAT", b"\0"), png_chunk(b"IEND", b"")]
    (tmp_path / "wall.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    with (tmp_path / "everything.jpg").open("wb") as file:
        file.write(b"\xff\xd8\xff")
        file.truncate(1 << 30)
    whole = encode_picture(smooth_noise(30, 40), ".png")
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    page.goto(address)
    names = ["notes.jpg", "wall.png", "everything.jpg", "half.png"]
    page.set_input_files("#pick", [tmp_path / name for name in names])
    assert "text" in problem(page, "notes.jpg")
    assert "200 megapixels" in problem(page, "wall.png")
    assert re.search(r"At most \d+ MB", problem(page, "everything.jpg"))
    assert "damaged" in problem(page, "half.png"), "the server's own words"


def test_the_camera_is_drawn_live(page, address):
    """Chromium's own camera: a moving picture."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    sent, open_requests, most = [], set(), [0]

    def begin(request):
        if "/api/pictures" in request.url:
            sent.append(request.url)
            open_requests.add(request)
            most[0] = max(most[0], len(open_requests))

    # test_server.py measures it
    fast = {"frames_per_second": {"small": 30.0}}
    page.route("**/api/live", lambda route: route.fulfill(json=fast))
    page.on("request", begin)
    for event in ("requestfinished", "requestfailed"):
        page.on(event, lambda request: open_requests.discard(request))
    page.goto(address)
    page.locator("#where").filter(has_text="server").wait_for()
    page.locator("#camera").click()
    page.locator("#live-on").check()
    page.locator("#live-rate").filter(
        has_text=re.compile(r"[\d.]+ frames/s at \d+ × \d+")
    ).wait_for()
    assert page.locator("#drawn").is_visible()
    shades = page.evaluate(
        "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data.slice(0, 4000)]",
        page.locator("#drawn").element_handle(),
    )
    assert len(set(shades)) > 2, "the network's picture"
    found = axe.run(page).response["violations"]
    assert not found, [(one["id"], one["nodes"][0]["html"]) for one in found]
    assert most[0] == 1, "frames are dropped, never queued"
    assert "format=jpeg" in sent[0] and "faces=blend" not in sent[0]
    page.locator("#live-on").uncheck()
    wait_until(page, "document.getElementById('live-rate').textContent === ''")
    assert page.locator("#drawn").is_hidden()
    page.wait_for_timeout(300)
    count = len(sent)
    page.wait_for_timeout(300)
    assert len(sent) == count, "nothing is sent any more"
    page.locator("#leave").click()
    wait_until(page, "document.getElementById('finder').srcObject === null")


def test_a_slow_network_is_not_offered_live(page, address):
    page.route("**/api/live", lambda route: route.fulfill(json={"frames_per_second": {"small": 9}}))
    page.goto(address)
    page.locator("#where").filter(has_text="server").wait_for()
    with page.expect_response("**/api/live"):
        page.locator("#camera").click()
    page.locator("#shoot").wait_for()
    assert page.locator("#live").is_hidden()


def test_on_a_phone(chromium, address, tmp_path):
    write_picture(tmp_path / "a.jpg", smooth_noise(60, 90))
    context = chromium.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    page = context.new_page()
    page.goto(address)
    page.set_input_files("#pick", tmp_path / "a.jpg")
    page.locator("li.card[data-state=done]").wait_for()
    width = page.evaluate("document.documentElement.scrollWidth")
    context.close()
    assert width <= 390, "nothing to scroll sideways"


def test_cards_keep_the_order_of_their_files(page, address, tmp_path):
    for name in "cabd":
        write_picture(tmp_path / f"{name}.png", smooth_noise(20, 30))
    page.goto(address)
    page.locator("#where").filter(has_text="server").wait_for()
    page.set_input_files("#pick", [tmp_path / f"{name}.png" for name in "cab"])
    page.set_input_files("#pick", [tmp_path / "d.png"])
    page.locator("li.card[data-state=done]").nth(3).wait_for()
    names = page.locator("li.card .name").all_inner_texts()
    assert names == ["d.png", "c.png", "a.png", "b.png"], "newer ones stand above older ones"
    with page.expect_download() as download:
        page.locator("#zip").click()
    with zipfile.ZipFile(download.value.path()) as opened:
        assert opened.namelist() == [f"{name}_anime.png" for name in "cabd"]
