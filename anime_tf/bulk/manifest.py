"""The manifest of a bulk job: a row for each result, in Parquet files beside the results.

Each run adds files and changes none. Of several rows about one output the last one counts.
"""

from __future__ import annotations

import time
from typing import Any

from anime_tf.bulk import storage

FOLDER = "_bulk"
DONE, FAILED, UNCHANGED = "done", "failed", "unchanged"  # values of `status`

_FLUSH_ROWS, _FLUSH_SECONDS = 20_000, 10.0  # a killed job loses and repeats at most these


def schema() -> Any:
    """Return the columns, as of pyarrow."""
    import pyarrow as pa

    text, number = pa.string(), pa.int64()
    return pa.schema(
        [
            ("input", text),  # address
            ("output", text),  # name below the output folder
            ("status", text),
            ("kind", text),  # of a failure; see `pictures.failure_kind`
            ("reason", text),
            ("settings", text),  # digest of all that decides the result, besides the input
            ("input_bytes", number),
            ("input_modified", number),  # nanoseconds
            ("input_digest", text),  # SHA-256
            ("outputs", pa.list_(text)),  # names of the files, several for faces
            ("output_bytes", number),
            ("pixels", number),  # stylized, of all frames
            ("frames", number),  # of a video
            ("seconds", pa.float64()),  # in a worker
            ("worker", text),  # node and process
            ("finished", pa.float64()),  # seconds since 1970
        ]
    )


class Manifest:
    """Reads the rows of earlier runs; writes those of this run in parts."""

    def __init__(self, output: str) -> None:
        self._folder = storage.join(output, f"{FOLDER}/manifest")
        self._rows: list[dict[str, Any]] = []
        self._run, self._part, self._flushed = f"{time.time_ns():020d}", 0, time.monotonic()

    def read(self) -> dict[str, dict[str, Any]]:
        """Return output -> last row of earlier runs."""
        import pyarrow.parquet as pq

        rows: dict[str, dict[str, Any]] = {}
        for name in storage.list_files(self._folder):  # in order of time
            with storage.local_copy(storage.join(self._folder, name)) as path:
                table = pq.read_table(path, schema=schema())
            rows |= {row["output"]: row for row in table.to_pylist()}
        return rows

    def add(self, row: dict[str, Any]) -> None:
        """Add a row of this run."""
        self._rows.append(row)
        late = time.monotonic() - self._flushed > _FLUSH_SECONDS
        if late or len(self._rows) >= _FLUSH_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write the rows that are not yet written."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self._rows:
            sink = pa.BufferOutputStream()
            pq.write_table(pa.Table.from_pylist(self._rows, schema()), sink)
            name = f"{self._run}-{self._part:06d}.parquet"
            storage.write(storage.join(self._folder, name), sink.getvalue().to_pybytes())
            self._part += 1
        self._rows, self._flushed = [], time.monotonic()
