"""Reads every version of a lake with the `deltalake` package: compacting and vacuuming must not show in the rows.

    python3 versions.py TRAILHOUSE SAMPLE_DIR

Converts the sample's folders one after the other, compacts, expires and vacuums, and compares what the package reads at
each version. Needs deltalake and pyarrow from PyPI; takes some seconds.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from deltalake import DeltaTable


def rows(lake, version):
    """The rows of a version, all columns, in an order of their own."""
    table = DeltaTable(lake, version=version).to_pyarrow_table()
    table = table.select(sorted(table.column_names))
    return sorted(json.dumps(row, default=str, sort_keys=True) for row in table.to_pylist())


def main(program, sample):
    with tempfile.TemporaryDirectory() as folder:
        lake = str(Path(folder) / "lake")

        def run(*args):
            subprocess.run([program, *args, "-q"], check=True)
            return DeltaTable(lake).version()

        for source in sorted(path for path in Path(sample).glob("AWSLogs/*") if path.is_dir()):
            converted = run("convert", str(source), "--to", lake)
        seen = {version: rows(lake, version) for version in range(converted + 1)}
        compacted = run("compact", lake)
        assert compacted == converted + 1, "there was something to compact"
        assert len(DeltaTable(lake).file_uris()) < len(DeltaTable(lake, version=converted).file_uris())
        seen[compacted] = rows(lake, compacted)
        assert seen[compacted] == seen[converted], "compacting has changed rows"
        expired = run("expire", lake, "--before", "2026-03-02")
        seen[expired] = rows(lake, expired)
        assert 0 < len(seen[expired]) < len(seen[compacted])
        assert all('"event_date": "2026-03-01"' not in row for row in seen[expired])

        assert run("vacuum", lake) == expired
        for version, before in seen.items():
            assert rows(lake, version) == before, f"version {version} has changed"
        run("vacuum", lake, "--retention", "0m", "--force")
        assert rows(lake, expired) == seen[expired], "vacuuming has taken away what was needed"
        print(f"{len(seen)} versions are read as they were, {len(seen[compacted])} rows")


main(*sys.argv[1:])
