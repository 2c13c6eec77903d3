"""Settings of the client of TensorFlow Serving."""

from __future__ import annotations

import random
from dataclasses import dataclass

from anime_tf.config import Config, setting

TOKEN_VARIABLE = "ANIME_TF_TOKEN"
"""Environment variable of a token; every user of a machine can read command lines."""

SERVER_QUALITY = 95  # quality of the JPEG files that servers write; see `export.encoded`


@dataclass(frozen=True)
class ModelSpec(Config):
    """A model of a server.

    Attributes:
        model: Name of the model.
        version: Version of the model; by default the newest.
        label: Label of a version, such as stable, instead of its number.
    """

    model: str = setting("cel")
    version: int | None = setting(None, minimum=0)
    label: str | None = setting(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.model:
            raise ValueError("model: expected the name of a model on the server, got nothing")
        if self.version is not None and self.label is not None:
            raise ValueError(
                f"expected a version or a label, got version {self.version} and label "
                f"{self.label!r}"
            )

    def __str__(self) -> str:
        version = "" if self.version is None else f" version {self.version}"
        return f"model {self.model!r}{version}" + (f" label {self.label!r}" if self.label else "")


@dataclass(frozen=True)
class RetryPolicy(Config):
    """Timeout and retries of requests.

    Attributes:
        timeout: Seconds until a request is given up, its transfer included.
        retries: Number of retries of a request while the server is unreachable, busy or too slow.
        first_wait: Seconds before the first retry; doubled for each one after it.
        longest_wait: Longest wait in seconds.
    """

    timeout: float = setting(120.0, minimum=0.001)
    retries: int = setting(4, minimum=0)
    first_wait: float = setting(0.5, minimum=0, flag=False)
    longest_wait: float = setting(20.0, minimum=0, flag=False)

    def wait(self, attempt: int) -> float:
        """Return the seconds to wait after an attempt, counted from 0.

        A random factor keeps clients that failed together from retrying together.
        """
        return min(self.longest_wait, self.first_wait * 2**attempt) * random.uniform(0.5, 1.0)


@dataclass(frozen=True)
class ClientConfig(Config):
    """Settings of the verb ``serving_client`` besides `ModelSpec` and `RetryPolicy`.

    Attributes:
        input: A picture, a folder with all its subfolders, or a pattern in double quotes
            such as "photos/**/*.jpg".
        output: A folder, which keeps the structure of the input, or for one picture a file. A new
            folder for one picture ends in /.
        url: Server: http://HOST:8501 or https://HOST for REST, grpc://HOST:8500 or grpcs://HOST for
            gRPC, which needs tensorflow-serving-api.
        batch_size: Pictures per request. The server runs them one by one, so more pay off only for
            small pictures and slow connections.
        format: Format of the server's answers. png is lossless, jpeg a third as large, auto depends
            on the suffix of each file. Files keep their own format.
        quality: Quality of JPEG and WebP files.
        max_side: Shrink pictures whose longer side has more pixels before they are sent. 0 is no
            limit.
        token_file: File with a token, sent as 'Authorization: Bearer TOKEN'; by default the
            environment variable ANIME_TF_TOKEN.
    """

    input: str = setting()
    output: str = setting()
    url: str = setting("http://localhost:8501")
    batch_size: int = setting(1, minimum=1)
    format: str = setting("auto", choices=("auto", "png", "jpeg"))
    quality: int = setting(SERVER_QUALITY, minimum=1, maximum=100)
    max_side: int = setting(0, minimum=0)
    token_file: str | None = setting(None)
