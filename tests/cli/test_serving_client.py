"""The verb serving_client, through its command line, against a server of the real protocols."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
from picture_files import blocks

from anime_tf import Stylizer
from anime_tf.cli import app
from anime_tf.cli.serving_client import COMMAND
from anime_tf.export.saved_model import write_saved_model
from anime_tf.inference.padded_generator import PaddedGenerator
from anime_tf.io.pictures import (
    decode_picture,
    encode_picture,
    limit_side,
    read_picture,
    write_picture,
)
from anime_tf.models.registry import GENERATORS
from anime_tf.serving.client import ServingClient
from anime_tf.serving.config import ModelSpec, RetryPolicy
from anime_tf.serving.transport import Address

pytest.importorskip("tensorflow_serving", reason="tensorflow-serving-api (extra serving) is absent")

from serving_server import ServingServer, Status

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy" / "serving"
PROTOCOLS = ["rest", "grpc"]
# JPEG decoders and graph optimizers round differently, and a value may lie between two levels.
LEVEL = 1


def assert_same_picture(actual: np.ndarray, expected: np.ndarray) -> None:
    assert actual.shape == expected.shape
    assert np.abs(actual.astype(int) - expected).max() <= LEVEL


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """SavedModels: two versions as the exporter writes them, and one without file signatures."""
    root = tmp_path_factory.mktemp("models")
    networks = []
    for seed in (1, 2):
        keras.utils.set_random_seed(seed)
        networks.append(PaddedGenerator(GENERATORS["whitebox"](width=4)))  # the fewest layers
    for name, network in zip(("one", "two"), networks, strict=True):
        write_saved_model(network, root / name)
    signatures = {"serving_default": networks[0].pm1, "uint8": networks[0].u8}
    tf.saved_model.save(networks[0], str(root / "older"), signatures=signatures)
    return {name: root / name for name in ("one", "two", "older")}


@pytest.fixture(scope="module")
def running(folders):
    models = {"cel": {1: folders["one"], 2: folders["two"]}, "older": {1: folders["older"]}}
    with ServingServer(models, {"cel": {"stable": 1, "canary": 2}}) as server:
        yield server


@pytest.fixture
def server(running):
    running.seen.clear()
    running.faults.clear()
    yield running
    assert not running.faults, "some planned faults did not happen"


@pytest.fixture(scope="module")
def stylizers(folders) -> dict[str, Stylizer]:
    return {name: Stylizer(folders[name]) for name in ("one", "two")}


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / "photos"
    (folder / "trip").mkdir(parents=True)
    write_picture(folder / "a.png", blocks(32, 48))
    write_picture(folder / "trip" / "b.png", blocks(20, 28, channels=4, seed=1))
    return folder


def serve(server, protocol, *flags) -> int:
    return app.run(COMMAND, [f"--url={server.urls[protocol]}", *map(str, flags)])


def names(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


# --- success ---------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_folder_equals_the_output_of_infer(server, protocol, stylizers, photos, tmp_path, capsys):
    write_picture(photos / "c.jpg", blocks(24, 40, seed=2))
    write_picture(photos / "d.bmp", blocks(16, 16, seed=3))  # servers do not decode BMP
    cv2.imwrite(str(photos / "e.gif"), blocks(16, 20, seed=4)[..., ::-1])
    write_picture(photos / "f.webp", blocks(28, 32, seed=5))
    out = tmp_path / "out"
    flags = [f"--input={photos}", f"--output={out}", "--batch_size=4"]
    assert serve(server, protocol, *flags) == 0
    outcome = capsys.readouterr()
    assert outcome.out == ""
    (line,) = outcome.err.splitlines()  # no warnings, no progress bar
    assert f"6 of 6 pictures written to {out}" in line
    assert names(out) == ["a.png", "c.jpg", "d.bmp", "e.png", "f.webp", "trip/b.png"]

    newest = stylizers["two"]
    for name in ("a.png", "d.bmp", "trip/b.png"):  # lossless
        source = read_picture(photos / name)
        assert_same_picture(read_picture(out / name).array_u8, newest(source.array_u8))
    expected = newest(read_picture(photos / "e.gif").rgb_u8)
    assert_same_picture(read_picture(out / "e.png").rgb_u8, expected)
    # A JPEG encoded by the server equals one encoded here.
    jpeg = encode_picture(newest(read_picture(photos / "c.jpg").rgb_u8), ".jpg", quality=95)
    written = read_picture(out / "c.jpg").rgb_u8.astype(int)
    assert np.abs(written - decode_picture(jpeg, "expected").rgb_u8).max() <= 2 * LEVEL
    assert read_picture(out / "f.webp").size_hw == (28, 32)

    kinds = [(one.signature, one.pictures) for one in server.seen]
    assert sorted(kinds) == [("bytes", 2), ("bytes", 3), ("bytes_jpeg", 1)]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_versions_and_labels(server, protocol, stylizers, photos, tmp_path):
    source, out = photos / "a.png", tmp_path / "a.png"
    for flag, which in (
        ("--version=1", "one"),
        ("--label=stable", "one"),
        ("--label=canary", "two"),
        ("--retries=0", "two"),
    ):
        assert serve(server, protocol, f"--input={source}", f"--output={out}", flag) == 0
        expected = stylizers[which](read_picture(source).rgb_u8)
        assert_same_picture(read_picture(out).rgb_u8, expected)


def test_formats_quality_and_max_side(server, stylizers, photos, tmp_path):
    source, out = photos / "a.png", tmp_path / "a.jpg"
    expected = stylizers["two"](read_picture(source).rgb_u8)
    flags = [f"--input={source}", f"--output={out}"]
    # Another quality is encoded here, from a lossless answer.
    assert serve(server, "rest", *flags, "--quality=50") == 0
    assert out.read_bytes() == encode_picture(expected, ".jpg", quality=50, mark=True)
    assert serve(server, "rest", *flags, "--format=png") == 0
    assert server.seen[-1].signature == "bytes"
    png = tmp_path / "a.png"
    assert serve(server, "rest", f"--input={source}", f"--output={png}", "--format=jpeg") == 0
    assert server.seen[-1].signature == "bytes_jpeg"
    assert png.read_bytes().startswith(b"\x89PNG")
    flags = [f"--input={source}", f"--output={png}", "--max_side=24"]
    assert serve(server, "rest", *flags) == 0
    small = limit_side(read_picture(source), 24).rgb_u8
    assert_same_picture(read_picture(png).rgb_u8, stylizers["two"](small))
    assert small.shape == (16, 24, 3)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_token(server, protocol, photos, tmp_path, monkeypatch, capsys):
    flags = [f"--input={photos}/a.png", f"--output={tmp_path}/a.png"]
    monkeypatch.setenv("ANIME_TF_TOKEN", "from-the-environment")
    assert serve(server, protocol, *flags) == 0
    (tmp_path / "token").write_text("from-a-file\n")
    server.faults.extend([None, Status("PERMISSION_DENIED", "missing token")])
    assert serve(server, protocol, *flags, f"--token_file={tmp_path}/token") == 0
    assert serve(server, protocol, *flags, f"--token_file={tmp_path}/token") == 2
    found = [one.authorization for one in server.seen]
    assert found == ["Bearer from-the-environment", *["Bearer from-a-file"] * 2]
    err = capsys.readouterr().err
    assert "refused the request (missing token); give the right token" in err
    assert "from-a-file" not in err


# --- failing pictures -------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_broken_picture_does_not_affect_its_batch(server, protocol, photos, tmp_path, capsys):
    broken = photos / "broken.jpg"
    broken.write_bytes(encode_picture(blocks(16, 16), ".jpg")[:-40])
    (photos / "no.png").write_bytes(b"no picture")
    out = tmp_path / "out"
    flags = [f"--input={photos}", f"--output={out}", "--batch_size=8", "--format=png"]
    assert serve(server, protocol, *flags) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert f"{broken}: JPEG picture: it is cut off; copy or download it again" in lines
    assert any(line.startswith(f"{photos}/no.png: expected a JPEG") for line in lines)
    assert "2 of 4 pictures written" in lines[-1]
    assert names(out) == ["a.png", "trip/b.png"]
    assert [one.pictures for one in server.seen] == [3]  # the text file was not sent


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_failed_batch_is_sent_one_by_one(server, protocol, photos, tmp_path, capsys):
    server.faults.extend([Status("INTERNAL", "out of memory"), None, Status("INTERNAL", "again")])
    out = tmp_path / "out"
    flags = [f"--input={photos}", f"--output={out}", "--batch_size=2"]
    assert serve(server, protocol, *flags) == 1
    assert [one.pictures for one in server.seen] == [2, 1, 1]
    line = capsys.readouterr().err.splitlines()[0]
    assert line.startswith(f"{photos}/trip/b.png: {server.urls[protocol]}: reports ")
    assert line.endswith(", again")
    assert names(out) == ["a.png"]


# --- failing servers --------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_busy_server_is_retried(server, protocol, photos, tmp_path, capsys):
    busy = Status("UNAVAILABLE", "The batch scheduling queue is 'full'")
    server.faults.extend([busy, busy, None])
    source, out = photos / "a.png", tmp_path / "a.png"
    start = time.monotonic()
    assert serve(server, protocol, f"--input={source}", f"--output={out}") == 0
    waited = time.monotonic() - start
    assert waited >= 0.25 + 0.5  # half of 0.5 s and of 1 s at least
    assert len(server.seen) == 3
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    for i, line in enumerate(lines[:2], 1):
        found = re.search(r"queue is 'full'\); retrying in (\d\.\d) s \((\d) of 4\)$", line)
        assert found and int(found[2]) == i


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_slow_server_times_out(server, protocol, photos, tmp_path, capsys):
    server.faults.extend([0.6, 0.6, None])
    flags = [f"--input={photos}", f"--output={tmp_path}/out", "--timeout=0.3", "--retries=1"]
    # The first picture fails twice; the second may be fast enough.
    assert serve(server, protocol, *flags) in (1, 2)
    line = capsys.readouterr().err.splitlines()[1]
    assert f"{photos}/a.png: {server.urls[protocol]}: no answer within 0.3 s (2 times)" in line


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_other_errors_are_not_retried(server, protocol, photos, tmp_path):
    server.faults.append(Status("RESOURCE_EXHAUSTED", "no"))
    flags = [f"--input={photos}/a.png", f"--output={tmp_path}/a.png"]
    assert serve(server, protocol, *flags) == 2
    assert len(server.seen) == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_lost_server_fails_the_rest_untried(server, protocol, photos, tmp_path, capsys):
    for i in range(3):
        write_picture(photos / f"z{i}.png", blocks(8, 8, seed=i))
    server.faults.extend([None, Status("UNAVAILABLE", "shutting down")])
    out = tmp_path / "out"
    assert serve(server, protocol, f"--input={photos}", f"--output={out}", "--retries=0") == 1
    assert len(server.seen) == 2
    assert names(out) == ["a.png"]
    lines = capsys.readouterr().err.splitlines()
    failed = ["trip/b.png", "z0.png", "z1.png", "z2.png"]
    assert [line.split(": ")[0] for line in lines[:-1]] == [f"{photos}/{name}" for name in failed]
    assert all("is not available (shutting down)" in line for line in lines[:-1])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_unreachable_server(protocol, photos, tmp_path, capsys):
    with socket.socket() as taken:  # bound but not listening
        taken.bind(("127.0.0.1", 0))
        url = f"{'http' if protocol == 'rest' else 'grpc'}://127.0.0.1:{taken.getsockname()[1]}"
        flags = [f"--url={url}", f"--input={photos}", f"--output={tmp_path}/out", "--retries=1"]
        assert app.run(COMMAND, flags) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2  # the retry and the final error
    assert f"serving_client: {url}: " in lines[-1]
    assert "connection refused" in lines[-1].lower()
    assert lines[-1].endswith("(2 times); is the server running there?")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--model=hayao"], "has no model 'hayao' that is ready to serve (Servable not found"),
        (["--version=7"], "has no model 'cel' version 7 that is ready"),
        (["--label=beta"], "has no model 'cel' label 'beta' that is ready to serve (Unrecognized"),
        (["--model=older"], "model 'older' has no signature 'bytes'; export it again"),
    ],
)
def test_missing_models(server, protocol, flags, words, photos, tmp_path, capsys):
    flags = [f"--input={photos}", f"--output={tmp_path}/out", *flags]
    assert serve(server, protocol, *flags) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert len(server.seen) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>Welcome!</html>",
        b'{"predictions": [1]}',
        b'{"predictions": [{"anime_bytes": {"b64": "?"}, "error": ""}]}',
        b'{"predictions": [{"anime_bytes": {"b64": "YWJj"}, "error": ""}]}',
        b'{"predictions": []}',
    ],
)
def test_invalid_answers(server, answer, photos, tmp_path, capsys):
    server.faults.append(answer)
    assert serve(server, "rest", f"--input={photos}/a.png", f"--output={tmp_path}/a.png") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{server.urls['rest']}: " in line
    assert not (tmp_path / "a.png").exists()


def test_wrong_port(server, photos, tmp_path, capsys):
    flags = [f"--input={photos}/a.png", f"--output={tmp_path}/a.png", "--retries=0"]
    for url, words in (
        (server.urls["rest"].replace("http", "grpc"), "is not available (failed to connect"),
        (server.urls["grpc"].replace("grpc", "http"), "got an answer that is not HTTP"),
        (server.urls["rest"].replace("http", "https"), "no encrypted connection, [ssl: wrong_v"),
        (f"{server.urls['rest']}/tf", "expected an answer of TensorFlow Serving, got HTTP 400"),
    ):
        assert app.run(COMMAND, [f"--url={url}", *flags]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{url}: " in line
        assert words in line.replace("[SSL: WRONG_V", "[ssl: wrong_v")


# --- the command line -------------------------------------------------------------------------


def test_usage_errors_are_one_line(photos, tmp_path, capsys):
    flags = [f"--input={photos}", f"--output={tmp_path}/out"]
    for wrong, words in (
        (["--url=localhost:8501"], "localhost:8501: expected the address of a server; write http"),
        (["--url=ftp://localhost"], "expected the address"),
        (["--url=http://localhost:port"], "expected the address of a server, got"),
        (["--url=grpc://localhost:8500/v1"], "expected nothing after host and port"),
        (["--url=http://me:secret@localhost"], "without user and password; use a token"),
        (
            ["--version=1", "--label=stable"],
            "expected a version or a label, got version 1 and label 'stable'",
        ),
        (["--model="], "expected the name of a model on the server, got nothing"),
        (["--timeout=0"], "--timeout=0"),
        (["--retries=-1"], "--retries=-1"),
        (["--batch_size=0"], "--batch_size=0"),
        (["--format=gif"], "--format=gif"),
        (
            [f"--token_file={tmp_path}/none"],
            "none: no such file or folder; expected a file with a token",
        ),
        ([f"--output={photos}"], "would overwrite an input"),
    ):
        assert app.run(COMMAND, [*flags, *wrong]) == 2, wrong
        (line,) = capsys.readouterr().err.splitlines()
        assert words in line
        assert "secret" not in line


def test_rest_does_not_import_tensorflow(server, photos, tmp_path):
    code = (
        "import sys\nfrom anime_tf.cli import app\n"
        "from anime_tf.cli.serving_client import COMMAND\n"
        "code = app.run(COMMAND, sys.argv[1:])\n"
        "assert not {'tensorflow', 'keras', 'grpc'} & set(sys.modules)\nsys.exit(code)"
    )
    flags = [f"--url={server.urls['rest']}", f"--input={photos}", f"--output={tmp_path}/out"]
    done = subprocess.run(
        [sys.executable, "-c", code, *flags], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert names(tmp_path / "out") == ["a.png", "trip/b.png"]


def test_grpc_without_its_package_names_the_requirement(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis.predict_pb2", None)
    with pytest.raises(ValueError, match=r"pip install 'tensorflow-serving-api.*or use REST"):
        ServingClient("grpc://localhost")


def test_addresses():
    assert Address.parse("http://h") == Address("http", "h", 80)
    assert Address.parse("https://h/a/b/") == Address("https", "h", 443, "/a/b")
    assert Address.parse("grpc://h") == Address("grpc", "h", 8500)
    assert Address.parse("grpcs://H:1/") == Address("grpcs", "h", 1)
    assert str(Address.parse("grpc://[::1]:8500")) == "grpc://[::1]:8500"


def test_waits_double_up_to_a_limit_with_jitter():
    retry = RetryPolicy(first_wait=1.0, longest_wait=6.0)
    for attempt, most in enumerate((1, 2, 4, 6, 6)):
        waits = [retry.wait(attempt) for _ in range(50)]
        assert most / 2 <= min(waits) < max(waits) <= most
    assert str(ModelSpec("cel", label="stable")) == "model 'cel' label 'stable'"


# --- deploy/serving ---------------------------------------------------------------------------


def test_models_config_parses():
    from google.protobuf import text_format
    from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

    text = (DEPLOY / "models.config").read_text()
    config = text_format.Parse(text, ModelServerConfig())
    (model,) = config.model_config_list.config
    assert (model.name, model.base_path, model.model_platform) == (
        "cel",
        "/models/cel",
        "tensorflow",
    )
    served = list(model.model_version_policy.specific.versions)
    assert set(model.version_labels) == {"stable", "canary"}
    assert set(model.version_labels.values()) <= set(served)


def test_batching_config_parses():
    """Parse with the fields of BatchingParameters, which tensorflow-serving-api lacks."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
    from google.protobuf import wrappers_pb2 as wrappers

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="batching.proto", package="test", syntax="proto3", dependency=["w.proto"]
    )
    message = file.message_type.add(name="BatchingParameters")
    for number, (name, kind) in enumerate(
        {
            "max_batch_size": "Int64Value",
            "batch_timeout_micros": "Int64Value",
            "max_enqueued_batches": "Int64Value",
            "num_batch_threads": "Int64Value",
            "thread_pool_name": "StringValue",
            "enable_large_batch_splitting": "BoolValue",
            "max_execution_batch_size": "Int64Value",
        }.items(),
        1,
    ):
        message.field.add(
            name=name,
            number=number,
            type=kinds.TYPE_MESSAGE,
            label=kinds.LABEL_OPTIONAL,
            type_name=f".google.protobuf.{kind}",
        )
    pool = descriptor_pool.DescriptorPool()
    wrapper_file = descriptor_pb2.FileDescriptorProto()
    wrappers.DESCRIPTOR.CopyToProto(wrapper_file)
    wrapper_file.name = "w.proto"
    pool.Add(wrapper_file)
    pool.Add(file)
    kind = pool.FindMessageTypeByName("test.BatchingParameters")
    text = (DEPLOY / "batching.config").read_text()
    found = text_format.Parse(text, message_factory.GetMessageClass(kind)())
    # Pictures of different sizes are never joined, and large requests are accepted.
    assert found.max_execution_batch_size.value == 1
    assert found.enable_large_batch_splitting.value
    assert found.max_enqueued_batches.value >= found.max_batch_size.value >= 16


def test_compose_refers_to_existing_files():
    text = (DEPLOY / "compose.yaml").read_text()
    assert "\t" not in text
    assert re.search(r"image: tensorflow/serving:\$\{TF_SERVING_VERSION:-\d+\.\d+\.\d+\}\n", text)
    for flag, name in re.findall(r"--(\w+_file)=/config/(\S+)", text):
        assert (DEPLOY / name).is_file(), flag
    assert re.findall(r"target: (\S+)\n +read_only: true", text) == ["/models", "/config"]


@pytest.mark.skipif(not shutil.which("bash"), reason="the health check needs bash")
def test_health_check_of_compose(server):
    text = (DEPLOY / "compose.yaml").read_text()
    command = re.search(r"test: \[\"CMD\", \"bash\", \"-c\", '(.+)'\]\n", text)[1]
    command = command.replace("8501", str(server.port))
    for name, healthy in (("cel", True), ("hayao", False)):
        line = command.replace("models/cel", f"models/{name}")
        done = subprocess.run(["bash", "-c", line], timeout=10, env=os.environ)
        assert (done.returncode == 0) == healthy
