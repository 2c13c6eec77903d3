"""The verb ``serving_client``: stylizes pictures by TensorFlow Serving."""

from __future__ import annotations

import contextlib
import time

from absl import flags, logging

from anime_tf.cli import app
from anime_tf.cli.flags import make_config
from anime_tf.serving.config import ClientConfig, ModelSpec, RetryPolicy


def main(values: flags.FlagValues) -> int:
    """Stylize pictures by a server; return the exit code."""
    config = make_config(values, ClientConfig)
    spec, retry = make_config(values, ModelSpec), make_config(values, RetryPolicy)
    if config.url.startswith("grpc"):
        with contextlib.suppress(ImportError):  # the client says what is missing
            app.import_tensorflow()  # its messages import it
    from anime_tf.inference.batch import outcome
    from anime_tf.serving.files import stylize_by_server

    start = time.perf_counter()
    tasks, report = stylize_by_server(config, spec, retry)
    logging.info(
        "%s in %.1f s",
        outcome(tasks, report, config.output),
        time.perf_counter() - start,
    )
    return app.exit_code(len(report.failures), len(tasks))


COMMAND = app.Command(
    name="serving_client",
    summary="Stylize pictures by TensorFlow Serving.",
    example="--input=photos --output=anime --url=http://localhost:8501\n"
    "--input=me.jpg --output=me_anime.png --url=grpc://localhost:8500 --label=stable",
    configs=(ClientConfig, ModelSpec, RetryPolicy),
    main=main,
)
