"""A cluster of two nodes and a local S3, for the tests of this folder."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STORE_BYTES = 100 << 20


@pytest.fixture(scope="session")
def s3():
    """Address of a bucket of a local S3, which the environment names for workers too."""
    server_module = pytest.importorskip(
        "moto.server", reason="moto with its server is not installed"
    )
    pytest.importorskip("pyarrow.fs", reason="pyarrow (the extra cluster) is not installed")
    server = server_module.ThreadedMotoServer(port=0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
    server.start()
    _, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("NO_PROXY", "*")
        from pyarrow import fs

        endpoint = os.environ["AWS_ENDPOINT_URL"]
        maker = fs.S3FileSystem(endpoint_override=endpoint, allow_bucket_creation=True)
        maker.create_dir("bucket")
        yield "s3://bucket"
    server.stop()


@pytest.fixture(scope="module")
def nodes(own_cache, s3):
    """A Ray cluster of a head without workers, and two nodes of one CPU.

    For a file alone, because an idle cluster takes a twentieth of a core.
    """
    pytest.importorskip("ray", reason="Ray (the extra cluster) is not installed")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_worker_niceness", "0")  # not 15, beside other tests
        patch.setenv("RAY_BACKEND_LOG_LEVEL", "fatal")
        # The cluster has a fixed size, and no test reads its workers' logs.
        head = {"num_cpus": 0, "no_monitor": True, "include_log_monitor": False}
        settings = {"object_store_memory": STORE_BYTES, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args={**head, **settings})
        cluster.settings = {"object_store_memory": STORE_BYTES, "num_cpus": 1}
        for _ in range(2):
            cluster.add_node(**cluster.settings)
        yield cluster
        cluster.shutdown()
