"""Settings of bulk jobs."""

from __future__ import annotations

from dataclasses import dataclass

from anime_tf.config import Config, setting

LOCAL = "local"  # address of an embedded Ray


@dataclass(frozen=True)
class ClusterConfig(Config):
    """Settings of the workers.

    Attributes:
        address: Running Ray cluster: auto for the one of this machine, or HOST:PORT of its head.
            local starts Ray on this machine and stops it after the job.
        workers: Number of workers, each with a network of its own; 0 for as many as the CPUs, and
            with --num_gpus the GPUs, of the cluster allow.
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
        input: Pictures and videos: a folder with all subfolders, a pattern in double quotes,
            a file, or a list of addresses (.csv or .parquet with a column path). An address is a
            path, file://, s3://, gs://, or any URL that fsspec reads.
        output: Path or address of the folder for the results; it keeps the structure of the input.
            Its folder _bulk holds the manifest and summary.json.
        resume: Skip results that the manifest lists as done with the same input and settings.
        task_size: Pictures per task, the unit that Ray schedules and a lost worker repeats.
        batch_size: Pictures of one size that run together. More than 1 helps GPUs; results may then
            differ by one gray level.
        segment_frames: Smallest number of frames of a video's segment; segments begin at cuts,
            and with --stabilize=off anywhere.
    """

    input: str = setting()
    output: str = setting()
    resume: bool = setting(True)
    task_size: int = setting(32, minimum=1)
    batch_size: int = setting(1, minimum=1)
    segment_frames: int = setting(300, minimum=1)
