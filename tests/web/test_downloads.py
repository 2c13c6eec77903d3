"""Thumbnails, and downloads of styles by the page."""

import io

import numpy as np
import pytest
import requests
from face_pictures import upright_face
from PIL import Image
from published_styles import STRICT, add_hashes, publish, serve, shrink, write_registry

pytest.importorskip("aiohttp", reason="aiohttp (the extra web) is not installed")

from web_server import WebServer

from anime_tf.inference.config import StylizerConfig
from anime_tf.inference.stylizer import Stylizer
from anime_tf.io.pictures import decode_picture, encode_picture
from anime_tf.styles.builtin import BUILTIN
from anime_tf.styles.registry import find_style
from anime_tf.web.config import Limits
from anime_tf.web.service import StylizationService
from anime_tf.web.styles import find_styles

SETTINGS = {"faces": "crop", "face_size": 64, "max_side": 200, "strength": 0.5}


@pytest.fixture(scope="module")
def page(weights, tmp_path_factory):
    """A server of the page, and one of published files with the style "own"."""
    folder = tmp_path_factory.mktemp("downloads")
    entry_file, published = folder / "r.json", folder / "www"
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        patch.setenv("ANIME_TF_DATA", str(folder / "data"))
        patch.setenv("NO_PROXY", "127.0.0.1")
        entry = publish(published, "own")
        add_hashes(published, entry, "sha256")
        path = f"{entry.pop('repository')}/{entry.pop('commit')}"
        with serve(published) as (base, _), WebServer(weights, Limits(), {}, folder) as web:
            entry |= {"license": STRICT, "base_url": f"{base}/{path}", "settings": SETTINGS}
            patch.setenv("ANIME_TF_REGISTRY", write_registry(entry_file, entry))
            yield f"{web.url}/api/styles", web


def names(url):
    return [style["name"] for style in requests.get(url, timeout=10).json()["styles"]]


def test_only_local_servers_download(page, monkeypatch):
    url, web = page
    monkeypatch.setattr(web.api.downloads, "_local", False)
    assert requests.get(f"{url}/available", timeout=10).json() == []
    answer = requests.post(f"{url}/own", data='{"accept": true}', timeout=10)
    assert answer.status_code == 403 and find_style("own").state == "available"


def test_failures_are_told(page, monkeypatch, tmp_path):
    monkeypatch.setenv("ANIME_TF_DATA", str(tmp_path))  # which keeps the acceptance
    monkeypatch.setenv("ANIME_TF_OFFLINE", "1")
    answer = requests.post(f"{page[0]}/own", data='{"accept": true}', timeout=10)
    assert answer.status_code == 403 and "ANIME_TF_OFFLINE" in answer.json()["error"]
    assert find_style("own").state == "available"


def test_a_style_is_downloaded_and_used(page):
    url, _ = page
    assert requests.get(url, timeout=10).json()["downloads"] is True
    found = {one["name"]: one for one in requests.get(f"{url}/available", timeout=10).json()}
    assert found["own"]["license"] == STRICT and "hayao" in found and "cel" not in found

    for body in ("{}", '{"accept": "yes"}', ""):
        answer = requests.post(f"{url}/own", data=body, timeout=10)
        assert answer.status_code == 403 and "Strict, is not accepted" in answer.json()["error"]
    assert requests.post(f"{url}/own", data="[", timeout=10).status_code == 400
    assert requests.post(f"{url}/none", data="{}", timeout=10).status_code == 404
    assert names(url) == ["small", *BUILTIN]

    assert requests.post(f"{url}/own", data='{"accept": true}', timeout=60).json() == {
        "name": "own"
    }
    assert names(url) == ["small", *BUILTIN, "own"]
    assert "own" not in [one["name"] for one in requests.get(f"{url}/available", timeout=9).json()]
    for name in ("own", "cel"):
        answer = requests.get(f"{url}/{name}/thumbnail", timeout=60)
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert Image.open(io.BytesIO(answer.content)).size == (192, 108)
    assert requests.get(f"{url}/none/thumbnail", timeout=10).status_code == 404
    (own,) = [style for style in find_styles([]) if style.name == "own"]
    assert own.lazy and own.license == "Strict"


def test_recommended_settings_are_used(page, photo, tmp_path):
    """A request changes strength and faces; the server's own flags come before the style's."""
    url, web = page
    assert requests.post(f"{url}/own", data='{"accept": true}', timeout=60).ok
    styles = {style["name"]: style for style in requests.get(url, timeout=10).json()["styles"]}
    assert styles["own"]["settings"] == SETTINGS and styles["cel"]["settings"] == {}
    photo = photo.repeat(5, axis=0).repeat(5, axis=1)
    picture, faces = encode_picture(photo, ".png"), [upright_face((100, 75), 5.0)]
    web.service.supports_faces, web.service._finder = True, lambda photo_u8: faces

    def post(kind="pictures", **options):
        query = {"style": "own", **options}
        return requests.post(f"{web.url}/api/{kind}", params=query, data=picture, timeout=30)

    def pixels(**options):
        return decode_picture(post(**options).content, "answer").rgb_u8

    own = Stylizer("own", engine="keras")
    assert (own.config.max_side, own.config.strength) == (200, 0.5)
    assert pixels().shape == (64, 64, 3), "a portrait"
    assert np.abs(pixels(faces="off").astype(int) - own(photo)).max() <= 1
    full = own.with_settings(strength=1.0)(photo)
    assert np.abs(pixels(faces="off", strength=1).astype(int) - full).max() <= 1
    assert pixels(faces="blend").shape == (150, 200, 3)
    faces.clear()
    assert (post().status_code, post(faces="blend").status_code) == (422, 200)
    assert "faces" in post("clips", faces="crop").json()["error"]
    assert post("clips").status_code == 415, "faces of clips are blended"

    web.service.supports_faces = False
    assert pixels().shape == (150, 200, 3)
    config = StylizerConfig(max_side=20, engine="keras")
    with StylizationService(find_styles(["own"])[:1], config) as limited:
        assert limited.stylize("own", photo).shape == (15, 20, 3)
