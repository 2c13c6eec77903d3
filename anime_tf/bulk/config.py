"""Settings of bulk jobs."""

from __future__ import annotations

from dataclasses import dataclass

from anime_tf.config import Config, setting

LOCAL = "local"  # address of an embedded Ray


@dataclass(frozen=True)
class ClusterConfig(Config):
    """Settings of the workers.

    Attributes:
        address: Running Ray cluster: auto for that of this machine, or HOST:PORT of its head. local
            starts Ray on this machine for the time of the job.
        workers: Number of workers, each with a network of its own; 0 takes as many as the CPUs, or
            with --num_gpus the GPUs, of the cluster are enough for.
        num_cpus: CPUs per worker, and threads of its network.
        num_gpus: GPUs per worker; 0.5 lets two workers share one.
    """

    address: str = setting(LOCAL)
    workers: int = setting(0, minimum=0)
    num_cpus: int = setting(1, minimum=1)
    num_gpus: float = setting(0.0, minimum=0)


@dataclass(frozen=True)
class BulkConfig(Config):
    """Settings of the verb ``bulk``.

    Attributes:
        input: Pictures and videos: a folder with all below it, a quoted pattern, a file, or a list
            of addresses (.csv or .parquet with a column path). Addresses are paths, file://, s3://,
            gs://, or of any kind that fsspec reads.
        output: Folder for the results, an address too; it keeps the structure of the input. Its
            folder _bulk holds the manifest and summary.json.
        resume: Skip what the manifest says is done, with the same input and settings.
        task_size: Pictures per task: what a lost worker repeats at most, and Ray schedules at once.
        batch_size: Pictures of one size that run together. More than 1 helps GPUs; the results may
            then differ in a gray level.
        segment_frames: Smallest number of frames of a video's segment; segments begin at cuts,
            and with --stabilize=off anywhere.
    """

    input: str = setting()
    output: str = setting()
    resume: bool = setting(True)
    task_size: int = setting(32, minimum=1)
    batch_size: int = setting(1, minimum=1)
    segment_frames: int = setting(300, minimum=1)
