import json
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import requests
from picture_files import png_chunk
from small_videos import moving, read, write_video

from anime_tf.inference.stylizer import Stylizer
from anime_tf.io.pictures import decode_picture, encode_picture
from anime_tf.styles.builtin import BUILTIN

pytest.importorskip("aiohttp", reason="aiohttp (the extra web) is not installed")

from web_server import Gate

from anime_tf.web import server as server_module
from anime_tf.web.clips import ClipStore
from anime_tf.web.config import Limits
from anime_tf.web.service import Options

ROUNDING = 1
"""In levels: the same network on other threads."""

JPEG_STEPS = 20
"""In levels: loss of JPEG of quality 95 on fine texture."""


LIMITS = Limits(unseen_seconds=100.0, kept_seconds=1000.0)


def huge_png() -> bytes:
    """A valid PNG of 20,000 x 10,000 pixels, except for its pixels."""
    header = struct.pack(">IIBBBBB", 20_000, 10_000, 8, 2, 0, 0, 0)
    parts = [png_chunk(b"IHDR", header), png_chunk(b"IDAT", b"\0"), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


class Flood:
    """Large virtual file, with a length or in chunks."""

    def __init__(self, size: int) -> None:
        self._size = self._left = size

    def __len__(self) -> int:
        return self._size

    def read(self, most: int = 1 << 16) -> bytes:
        piece = b"\xff" * min(most, self._left)
        self._left -= len(piece)
        return piece

    def __iter__(self):
        return iter(self.read, b"")


def post(server, data, **options):
    return requests.post(f"{server.url}/api/pictures", params=options, data=data, timeout=30)


def sentence(answer) -> str:
    """Return the sentence of an error."""
    told = answer.json()["error"]
    assert told[0].isupper() and told[-1] in ".?" and "\n" not in told
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    return told


def until(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "timed out"
        time.sleep(0.01)
    return found


@pytest.fixture(scope="module")
def png(photo):
    return encode_picture(photo, ".png")


@pytest.fixture(scope="module")
def stylizer(weights):
    return Stylizer(weights, engine="keras")


class TestStyles:
    def test_styles_and_limits(self, server):
        told = requests.get(f"{server.url}/api/styles", timeout=10).json()
        assert [style["name"] for style in told["styles"]] == ["small", *BUILTIN]
        assert [style["default"] for style in told["styles"]] == [True, *(False for _ in BUILTIN)]
        assert told["styles"][1]["license"] == "Apache-2.0"
        assert told["styles"][1]["license_url"].startswith("https://www.apache.org/")
        assert (told["limits"]["bytes"], told["limits"]["pixels"]) == (200_000, 1_000_000)
        assert told["limits"]["queue"] == 4
        assert isinstance(told["faces"], bool) and told["version"]


class TestPictures:
    def test_the_speed_of_loaded_styles_is_measured_once(self, server):
        rates = requests.get(f"{server.url}/api/live", timeout=120).json()["frames_per_second"]
        assert set(rates) == {"small", *BUILTIN}
        assert min(rates.values()) > 0
        again = requests.get(f"{server.url}/api/live", timeout=5).json()
        assert again == {"frames_per_second": rates}

    def test_answer_equals_the_stylizer(self, server, stylizer, photo, png):
        answer = post(server, png)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/png")
        assert answer.headers["Cache-Control"] == "no-store"
        made = decode_picture(answer.content, "answer").rgb_u8.astype(int)
        expected = stylizer(photo)
        assert np.abs(made - expected).max() <= ROUNDING
        jpeg = post(server, png, format="jpeg")
        assert jpeg.headers["Content-Type"] == "image/jpeg"
        coded = decode_picture(jpeg.content, "answer").rgb_u8.astype(int)
        assert np.abs(coded - expected).mean() <= JPEG_STEPS

    def test_strength_0_returns_the_photo_with_alpha(self, server, photo):
        rgba = np.dstack([photo, np.arange(48 * 64).reshape(48, 64).astype(np.uint8)])
        answer = post(server, encode_picture(rgba, ".png"), strength="0", style="small")
        assert np.array_equal(decode_picture(answer.content, "answer").array_u8, rgba)
        answer = post(server, encode_picture(rgba, ".png"), strength="0.5")
        assert np.array_equal(decode_picture(answer.content, "answer").alpha_u8, rgba[..., 3])

    @pytest.mark.parametrize(("strength", "keep_color"), [(0.5, False), (1.0, True)])
    def test_postprocessing(self, server, stylizer, photo, png, strength, keep_color):
        answer = post(server, png, strength=str(strength), keep_color=str(int(keep_color)))
        made = decode_picture(answer.content, "answer").rgb_u8.astype(int)
        changed = stylizer.with_settings(strength=strength, keep_color=keep_color)
        assert (changed.config.strength, stylizer.config.strength) == (strength, 1.0), (
            "a copy, not itself"
        )
        assert np.abs(made - changed(photo)).max() <= ROUNDING

    def test_every_built_in_style(self, server, png):
        answer = post(server, png, style="cel")
        assert decode_picture(answer.content, "answer").size_hw == (48, 64)

    @pytest.mark.parametrize(
        ("made", "status", "words"),
        [
            (
                lambda png: b"Text with a name that ends in .jpg\n" * 9,
                415,
                "not a picture",
            ),
            (lambda png: b"", 400, "request is empty"),
            (lambda png: png[:-30], 400, "damaged"),
            (lambda png: png.replace(b"IDAT", b"IDAX"), 400, "damaged"),
            (lambda png: huge_png(), 413, "megapixels"),
            (lambda png: png + b"\0" * 200_000, 413, "larger than"),
        ],
        ids=["text", "empty", "cut", "damaged", "200 megapixels", "too many bytes"],
    )
    def test_rejects_by_content(self, server, png, made, status, words):
        data = made(png)
        answer = requests.post(
            f"{server.url}/api/pictures",
            data=data,
            headers={"Content-Type": "image/jpeg"},
            timeout=10,
        )
        assert answer.status_code == status
        assert words in sentence(answer)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"style": "../../etc/passwd"}, "Unknown style"),
            ({"style": ""}, "Unknown style"),
            ({"strength": "1.5"}, "0 to 1"),
            ({"strength": "nan"}, "0 to 1"),
            ({"strength": "much"}, "0 to 1"),
            ({"keep_color": "yes"}, "keep_color"),
            ({"faces": "draw"}, "faces"),
            ({"format": "gif"}, "format"),
            ({"output": "/tmp/a.png"}, "Unknown option"),
        ],
    )
    def test_rejects_options(self, server, png, options, words):
        answer = post(server, png, **options)
        assert answer.status_code == 400
        assert words in sentence(answer)

    def test_announced_gigabyte_is_rejected_at_once(self, server):
        head = b"POST /api/pictures HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
        with server.connect() as connection:
            connection.sendall(head % (1 << 30))
            answer = connection.recv(1 << 16)
            assert answer.startswith(b"HTTP/1.1 413 ")

    @pytest.mark.parametrize("announced", [True, False])
    def test_client_that_sends_a_gigabyte_receives_an_answer(self, server, announced):
        """The client receives the answer instead of a connection reset."""
        flood = Flood(24 << 20)
        answer = requests.post(
            f"{server.url}/api/pictures", data=flood if announced else iter(flood), timeout=20
        )
        assert answer.status_code == 413
        assert "larger than" in sentence(answer)

    def test_stalled_upload_releases_its_slot(self, server, png):
        head = b"POST /api/pictures HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
        with server.connect() as connection:
            connection.sendall(head % len(png) + png[:50])
            assert one_answer(connection).startswith(b"HTTP/1.1 408 ")
        assert post(server, png).status_code == 200

    def test_compressed_uploads_are_not_decompressed(self, server, png):
        import gzip

        answer = requests.post(
            f"{server.url}/api/pictures",
            data=gzip.compress(png + b"\0" * 10_000_000),
            headers={"Content-Encoding": "gzip"},
            timeout=10,
        )
        assert answer.status_code == 415


INVALID = {
    "a broken origin": b"GET /api/styles HTTP/1.1\r\nHost: localhost\r\nOrigin: http://[\r\n\r\n",
    "a broken host": b"GET / HTTP/1.1\r\nHost: [\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "no HTTP": b"hello\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n",
    "a header without a colon": b"GET / HTTP/1.1\r\nHost: localhost\r\nbroken\r\n\r\n",
    "a zero in a header": b"GET / HTTP/1.1\r\nHost: localhost\r\nA: \0\r\n\r\n",
    "two lengths": b"POST /api/pictures HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n"
    b"Content-Length: 2\r\n\r\n",
    "a negative length": b"POST /api/pictures HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Length: -1\r\n\r\n",
    "a long header": b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"a" * 9000 + b"\r\n\r\n",
    "a long path": b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a broken chunk": b"POST /api/pictures HTTP/1.1\r\nHost: localhost\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    "a broken escape": b"GET /api/styles?%ff=%zz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a wrong method": b"BREW /api/styles HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "an upgrade": b"GET /api/styles HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\n"
    b"Connection: Upgrade\r\n\r\n",
    "a range": b"GET / HTTP/1.1\r\nHost: localhost\r\nRange: bytes=9-1,zz\r\n\r\n",
    "a proxy's address": b"GET http://[/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("request_bytes", INVALID.values(), ids=INVALID)
def test_every_answer_has_our_headers_and_none_is_500(server, request_bytes):
    with server.connect() as connection:
        connection.sendall(request_bytes)
        connection.settimeout(10)
        head = connection.recv(1 << 16).partition(b"\r\n\r\n")[0].decode("latin-1")
    status, *lines = head.split("\r\n")
    assert int(status.split()[1]) < 500
    headers = dict(line.split(": ", 1) for line in lines)
    assert {name: headers.get(name) for name in server_module.HEADERS} == server_module.HEADERS
    assert "aiohttp" not in head and "Python" not in head


def one_answer(connection: socket.socket) -> bytes:
    """Receive a short answer."""
    return connection.recv(1 << 16)


class TestQueue:
    def test_full_queue_answers_retry_after(self, server, png):
        with ThreadPoolExecutor(4) as threads:
            with Gate(server.service):
                first = [threads.submit(post, server, png) for _ in range(4)]
                until(lambda: len(queue_of(server)) == 4)
                refused = post(server, png)
                assert refused.status_code == 429
                assert int(refused.headers["Retry-After"]) >= 1
                assert "try again" in sentence(refused)
                # Requests without a slot are answered meanwhile.
                assert requests.get(f"{server.url}/api/styles", timeout=5).ok
            assert [one.result().status_code for one in first] == [200] * 4
        assert post(server, png).status_code == 200

    def test_queue_is_bounded_by_bytes(self, server):
        head = b"POST /api/pictures HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\n"
        connections = [server.connect() for _ in range(3)]
        for connection in connections:
            connection.sendall(head)
        until(lambda: len(queue_of(server)) == 3)
        answer = post(server, b"\xff" * 1000)
        for connection in connections:
            connection.close()
        assert answer.status_code == 429
        until(lambda: len(queue_of(server)) == 0)

    def test_disconnected_client_releases_its_slot(self, server, png):
        head = b"POST /api/pictures HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
        with Gate(server.service):
            connections = [server.connect() for _ in range(4)]
            for connection in connections:
                connection.sendall(head % len(png) + png)
            until(lambda: len(queue_of(server)) == 4)
            for connection in connections:
                connection.close()
            # Two may wait for the blocked network; the others are gone.
            until(lambda: len(queue_of(server)) <= 2)
        until(lambda: len(queue_of(server)) == 0)
        assert post(server, png).status_code == 200

    def test_hundred_simultaneous_requests_get_an_answer(self, server, png):
        start = threading.Barrier(100)

        def one(_):
            start.wait()
            return post(server, png).status_code

        with ThreadPoolExecutor(100) as threads:
            codes = list(threads.map(one, range(100)))
        assert set(codes) <= {200, 429}
        assert codes.count(200) >= 4
        assert len(queue_of(server)) == 0


def queue_of(server):
    return server.api._queue


class TestClips:
    @pytest.fixture(scope="class")
    def clip(self, tmp_path_factory):
        path = tmp_path_factory.mktemp("clip") / "a.mp4"
        write_video(path, moving(12), audio="aac")
        return path

    @staticmethod
    def send(server, data, **options):
        return requests.post(f"{server.url}/api/clips", params=options, data=data, timeout=10)

    def follow(self, server, clip_id):
        """Poll a clip until it ends."""
        told = []
        end = time.monotonic() + 60
        while time.monotonic() < end:
            told.append(requests.get(f"{server.url}/api/clips/{clip_id}", timeout=10).json())
            if told[-1]["state"] in ("done", "failed"):
                return told
            time.sleep(0.005)
        raise AssertionError(told[-1])

    def test_clip_keeps_its_sound_and_is_deleted(self, server, clip, tmp_path):
        sent = self.send(server, clip.read_bytes(), style="small")
        assert sent.status_code == 202
        address = f"{server.url}/api/clips/{sent.json()['id']}"
        told = self.follow(server, sent.json()["id"])
        counts = [one["done"] for one in told]
        assert counts == sorted(counts)
        assert told[-1] == {"state": "done", "done": 12, "total": 12}
        answer = requests.get(f"{address}/file", timeout=10)
        assert answer.headers["Content-Type"] == "video/mp4"
        (tmp_path / "b.mp4").write_bytes(answer.content)
        before, after = read(clip), read(tmp_path / "b.mp4")
        assert len(after.frames) == 12
        assert after.audio == before.audio and after.audio_codec == "aac"
        assert len(server.clip_folders()) == 1
        assert requests.delete(address, timeout=10).status_code == 204
        assert server.clip_folders() == []
        assert requests.get(address, timeout=10).status_code == 404

    def test_delete_stops_between_two_frames(self, server, clip):
        with Gate(server.service):
            sent = self.send(server, clip.read_bytes()).json()["id"]
            address = f"{server.url}/api/clips/{sent}"
            until(lambda: requests.get(address, timeout=10).json()["state"] == "working")
            assert requests.get(f"{address}/file", timeout=10).status_code == 409
            waiting = self.send(server, clip.read_bytes()).json()["id"]
            other = f"{server.url}/api/clips/{waiting}"
            assert requests.get(other, timeout=10).json()["state"] == "waiting"
            for one in (address, other):
                assert requests.delete(one, timeout=10).status_code == 204
        until(lambda: server.clip_folders() == [])

    def test_too_many_clips_answer_retry_after(self, server, clip):
        with Gate(server.service):
            sent = [self.send(server, clip.read_bytes()) for _ in range(4)]
            assert [one.status_code for one in sent] == [202, 202, 202, 429]
            assert int(sent[-1].headers["Retry-After"]) >= 1
            for one in sent[:3]:
                requests.delete(f"{server.url}/api/clips/{one.json()['id']}", timeout=10)
        until(lambda: server.clip_folders() == [])

    @pytest.mark.parametrize(
        ("data", "status"),
        [
            (b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n" + b"#\n" * 500, 415),
            (b"ffconcat version 1.0\nfile /etc/passwd\n", 415),
            (b"words " * 400, 415),
            (b"", 400),
            (b"\0\0\0\x18ftypmp42" + b"\0" * 400_000, 413),
        ],
        ids=["playlist", "concat", "text", "empty", "too many bytes"],
    )
    def test_rejects_by_content(self, server, data, status):
        answer = self.send(server, data)
        assert answer.status_code == status
        sentence(answer)
        until(lambda: server.clip_folders() == [])

    def test_errors_of_clips(self, server, clip, tmp_path):
        write_video(tmp_path / "large.mp4", moving(2, 480, 640))
        write_video(tmp_path / "long.mp4", moving(3), times=[0, 100, 300])
        cases = {
            b"\0\0\0\x18ftypmp42" + b"\0" * 3000: "damaged",
            (tmp_path / "large.mp4").read_bytes(): "megapixels",
            (tmp_path / "long.mp4").read_bytes(): "longer than",
        }
        for data, words in cases.items():
            sent = self.send(server, data).json()["id"]
            told = self.follow(server, sent)[-1]
            assert told["state"] == "failed"
            assert words in told["error"] and "/" not in told["error"]
            requests.delete(f"{server.url}/api/clips/{sent}", timeout=10)
        until(lambda: server.clip_folders() == [])

    def test_aborted_upload_leaves_nothing(self, server, clip):
        head = b"POST /api/clips HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300000\r\n\r\n"
        with server.connect() as connection:
            connection.sendall(head + clip.read_bytes()[:2000])
            until(server.clip_folders)
        until(lambda: server.clip_folders() == [])


class TestExpiredClips:
    @pytest.fixture
    def clips(self, server, tmp_path):
        clips = ClipStore(server.service, tmp_path, LIMITS, clock=lambda: clips.now)
        clips.now = 0.0
        yield clips
        clips.discard_all()

    def test_work_without_requests_is_stopped(self, clips, tmp_path):
        clip = clips.create()
        write_video(tmp_path / "a.mp4", moving(100))
        clip.source.write_bytes((tmp_path / "a.mp4").read_bytes())
        clips.start(clip, Options("small"))
        clips.now = 99.0
        clips.discard_expired()
        assert clips.get(clip.id) is clip
        clips.now = 198.0
        clips.discard_expired()
        assert clips.get(clip.id) is clip, "last requested at 99"
        clips.now = 299.0
        clips.discard_expired()
        assert clips.get(clip.id) is None
        end = time.monotonic() + 60
        while clip.source.parent.exists():
            assert time.monotonic() < end
            time.sleep(0.01)
        assert clip.progress.done < 100

    def test_finished_clip_is_kept_for_a_while(self, clips):
        clip = clips.create()
        write_video(clip.source.with_suffix(".mp4"), moving(2))
        clip.source.with_suffix(".mp4").rename(clip.source)
        clips.start(clip, Options("small"))
        clip._work.result(60)
        assert clip.state == "done" and clip.target.is_file()
        clips.now = 999.0
        clips.discard_expired()
        assert clip.target.is_file()
        clips.now = 1001.0
        clips.discard_expired()
        assert not clip.source.parent.exists()

    def test_running_upload_does_not_expire(self, clips):
        clip = clips.create()
        assert clips.get(clip.id) is None
        clips.now = 1e6
        clips.discard_expired()
        assert clip.source.parent.is_dir(), "the timeout of the connection applies"
        clips.discard(clip)
        assert not clip.source.parent.exists()


class TestAddresses:
    def test_the_page(self, server):
        answer = requests.get(f"{server.url}/", timeout=10)
        assert answer.headers["Content-Type"].startswith("text/html")
        assert answer.headers["Cache-Control"] == "no-cache"
        script = requests.get(f"{server.url}/assets/page-1a2b.js", timeout=10)
        assert script.headers["Content-Type"].startswith("text/javascript")
        assert "immutable" in script.headers["Cache-Control"]
        wasm = requests.head(f"{server.url}/assets/run-3c4d.wasm", timeout=10)
        assert wasm.headers["Content-Type"] == "application/wasm"

    @pytest.mark.parametrize(
        "path",
        [
            "/../secret.txt",
            "/assets/../../secret.txt",
            "/%2e%2e/secret.txt",
            "/..%2fsecret.txt",
            "/assets/..%5c..%5csecret.txt",
            "//etc/passwd",
            "/etc/passwd",
            "/%00",
            "/api/clips/..%2f..%2fsecret.txt",
            "/api/clips/../../secret.txt/file",
            "/api/clips//file",
            "/api/nothing",
        ],
    )
    def test_no_path_reaches_the_disk(self, server, path):
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        answer = server.raw(request.encode())
        assert answer.split(b" ")[1] in (b"400", b"404"), answer
        assert b"secret\n" not in answer and not answer.endswith(b"secret")

    @pytest.mark.parametrize("path", ["/", "/assets/page-1a2b.js", "/api/styles", "/nothing"])
    def test_every_answer_has_the_headers(self, server, path):
        headers = requests.get(f"{server.url}{path}", timeout=10).headers
        assert server_module.HEADERS.items() <= dict(headers).items()
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert "unsafe-inline" not in policy
        assert not any(name.startswith("Access-Control") for name in headers)

    @pytest.mark.parametrize(
        ("host", "status"),
        [
            ("127.0.0.1", 200),
            ("localhost:1", 200),
            ("[::1]:80", 200),
            ("evil.example", 403),
            ("127.0.0.1.evil.example", 403),
            ("localhost@evil.example", 403),
            ("evil.example@localhost", 403),
            ("[", 403),
        ],
    )
    def test_foreign_host_names_are_rejected(self, server, host, status):
        answer = requests.get(f"{server.url}/api/styles", headers={"Host": host}, timeout=10)
        assert answer.status_code == status

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"Sec-Fetch-Site": "same-origin"}, 200),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Sec-Fetch-Site": "same-site"}, 403),
            ({"Origin": "https://evil.example"}, 403),
            ({"Origin": "null"}, 403),
        ],
    )
    def test_requests_of_other_sites_are_rejected(self, server, png, headers, status):
        answer = requests.post(f"{server.url}/api/pictures", data=png, headers=headers, timeout=10)
        assert answer.status_code == status

    def test_wrong_methods(self, server):
        answer = requests.get(f"{server.url}/api/pictures", timeout=10)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
        sentence(answer)
        assert requests.options(f"{server.url}/api/pictures", timeout=10).status_code == 405


def test_is_local():
    local = ["127.0.0.1", "127.0.0.2", "localhost", "::1"]
    assert [server_module.is_local(host) for host in local] == [True] * 4
    assert [server_module.is_local(h) for h in ("0.0.0.0", "::", "192.168.1.2", "me")] == [
        False
    ] * 4


def test_port_in_use(server):
    with pytest.raises(OSError, match=f"127.0.0.1:{server.port}: cannot listen there.*--port"):
        server_module.listen("127.0.0.1", server.port)


def test_http_1_0(server):
    answer = server.raw(b"GET /api/styles HTTP/1.0\r\nHost: localhost\r\n\r\n")
    head, body = answer.split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.0 200 ")
    assert json.loads(body)["styles"]
