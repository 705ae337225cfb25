#!/usr/bin/env python3
"""Compare trailhouse with DuckDB and ClickHouse, doing the same conversion of the same files.

    python benches/peers.py TRAIL target/release/trailhouse [--runs 5] [--jobs N]

TRAIL is a directory of .json.gz objects, such as `cargo bench --bench generate -- --to TRAIL` writes. Everyone
reads all of them, takes the records out of their arrays, spreads the columns that matter over columns, sorts by
account, Region and time, and writes Parquet (zstd) in a folder for each day. trailhouse does more than the others
are asked to: it keeps every field, finds duplicates, and commits; they get a fixed list of columns with types (their
fastest way) and lose the rest.

Each run is a process of its own; the contenders take turns (A B C, A B C, ...), so that what else the machine does
meets all of them. The report has the medians: CPU (user + system), wall time, peak memory, bytes written; and how
many times trailhouse's CPU, and the CPU of only inflating the files on one thread (benches/inflate.rs), each took.
The peers' figures include starting Python, a few tenths of a second.

DuckDB and ClickHouse (chdb) are installed from PyPI into target/peers.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
VENV = ROOT / "target" / "peers"
OUTPUT = ROOT / "target" / "peers-out"
PACKAGES = ["duckdb==2.0.0", "chdb==4.4.0"]

# Column, path in the record, type. "json" is an object or array, kept as text.
COLUMNS = [
    ("event_source", "eventSource", "text"),
    ("event_name", "eventName", "text"),
    ("aws_region", "awsRegion", "text"),
    ("source_ip_address", "sourceIPAddress", "text"),
    ("user_agent", "userAgent", "text"),
    ("error_code", "errorCode", "text"),
    ("error_message", "errorMessage", "text"),
    ("request_parameters", "requestParameters", "json"),
    ("response_elements", "responseElements", "json"),
    ("additional_event_data", "additionalEventData", "json"),
    ("request_id", "requestID", "text"),
    ("event_id", "eventID", "text"),
    ("event_type", "eventType", "text"),
    ("event_category", "eventCategory", "text"),
    ("management_event", "managementEvent", "bool"),
    ("read_only", "readOnly", "bool"),
    ("recipient_account_id", "recipientAccountId", "text"),
    ("shared_event_id", "sharedEventID", "text"),
    ("user_identity_type", "userIdentity.type", "text"),
    ("user_identity_principal_id", "userIdentity.principalId", "text"),
    ("user_identity_arn", "userIdentity.arn", "text"),
    ("user_identity_account_id", "userIdentity.accountId", "text"),
    ("user_identity_access_key_id", "userIdentity.accessKeyId", "text"),
    ("user_identity_user_name", "userIdentity.userName", "text"),
    ("user_identity_invoked_by", "userIdentity.invokedBy", "text"),
    ("session_issuer_type", "userIdentity.sessionContext.sessionIssuer.type", "text"),
    ("session_issuer_principal_id", "userIdentity.sessionContext.sessionIssuer.principalId", "text"),
    ("session_issuer_arn", "userIdentity.sessionContext.sessionIssuer.arn", "text"),
    ("session_issuer_account_id", "userIdentity.sessionContext.sessionIssuer.accountId", "text"),
    ("session_issuer_user_name", "userIdentity.sessionContext.sessionIssuer.userName", "text"),
    ("session_creation_date", "userIdentity.sessionContext.attributes.creationDate", "text"),
    ("session_mfa_authenticated", "userIdentity.sessionContext.attributes.mfaAuthenticated", "text"),
    ("session_ec2_role_delivery", "userIdentity.sessionContext.ec2RoleDelivery", "text"),
    ("resources", "resources", "json"),
    ("tls_version", "tlsDetails.tlsVersion", "text"),
    ("tls_cipher_suite", "tlsDetails.cipherSuite", "text"),
    ("tls_client_provided_host_header", "tlsDetails.clientProvidedHostHeader", "text"),
    ("session_credential_from_console", "sessionCredentialFromConsole", "text"),
    ("api_version", "apiVersion", "text"),
    ("event_version", "eventVersion", "text"),
    ("vpc_endpoint_id", "vpcEndpointId", "text"),
    ("vpc_endpoint_account_id", "vpcEndpointAccountId", "text"),
    ("service_event_details", "serviceEventDetails", "json"),
    ("insight_details", "insightDetails", "json"),
    ("summary", "summary", "json"),
]
# Read to work out the account, the time and the day of a row.
KEYS = [("eventTime", "text"), ("accountId", "text"), ("timeWindow.windowStart", "text")]


def record_type(types, struct):
    """The type of a record in an engine's words: `struct` opens it, `types` names its leaves."""
    tree = {}
    for path, kind in [(path, kind) for _, path, kind in COLUMNS] + KEYS:
        *folders, leaf = path.split(".")
        node = tree
        for folder in folders:
            node = node.setdefault(folder, {})
        node[leaf] = types[kind]

    def text(node):
        if isinstance(node, str):
            return node
        return f"{struct}(" + ", ".join(f'"{name}" {text(of)}' for name, of in node.items()) + ")"

    return text(tree)


def select(source, not_null=""):
    """The flattened, sorted rows of `source`, whose one column is `r`; `not_null` is a function around the day."""
    quoted = lambda path: "r." + ".".join(f'"{step}"' for step in path.split("."))
    columns = ", ".join(f"{quoted(path)} AS {name}" for name, path, _ in COLUMNS)
    event_time = 'coalesce(r."eventTime", r."timeWindow"."windowStart")'
    account = 'coalesce(r."recipientAccountId", r."accountId")'
    return (
        f"SELECT {event_time} AS event_time, {account} AS account, {columns}, "
        f"{not_null}(substring({event_time}, 1, 10)) AS event_date FROM ({source}) ORDER BY account, aws_region, event_time"
    )


def duckdb(trail, to, jobs):
    types = {"text": "VARCHAR", "bool": "BOOLEAN", "json": "JSON"}
    columns = f"{{'Records': '{record_type(types, 'STRUCT')}[]'}}"
    source = (
        f"SELECT unnest(Records) AS r FROM read_json('{trail}/**/*.json.gz', format = 'unstructured', "
        f"columns = {columns}, maximum_object_size = 100000000)"
    )
    threads = f"SET threads = {jobs}; " if jobs else ""
    options = "FORMAT parquet, COMPRESSION zstd, PARTITION_BY (event_date)"
    sql = f"{threads}COPY ({select(source)}) TO '{to}' ({options})"
    return [str(VENV / "bin" / "python"), "-c", "import duckdb, sys; duckdb.execute(sys.argv[1])", sql]


def clickhouse(trail, to, jobs):
    types = {"text": "Nullable(String)", "bool": "Nullable(Bool)", "json": "Nullable(String)"}
    columns = f'Records Array({record_type(types, "Tuple")})'.replace('"', "`")
    files = f"file('{trail}/**/*.json.gz', 'JSONEachRow', '{columns}', 'gzip')"
    source = f"SELECT arrayJoin(Records) AS r FROM {files}"
    settings = {
        "input_format_json_ignore_unknown_keys_in_named_tuple": 1,
        "input_format_json_defaults_for_missing_elements_in_named_tuple": 1,
        "input_format_json_read_objects_as_strings": 1,
        "input_format_json_read_arrays_as_strings": 1,
        "input_format_skip_unknown_fields": 1,
        "output_format_parquet_compression_method": "'zstd'",
    }
    if jobs:
        settings["max_threads"] = jobs
    values = ", ".join(f"{name} = {value}" for name, value in settings.items())
    sql = (
        f"INSERT INTO FUNCTION file('{to}/event_date={{_partition_id}}/part.parquet', 'Parquet') "
        f"PARTITION BY event_date {select(source, 'assumeNotNull')} SETTINGS {values}"
    )
    return [str(VENV / "bin" / "python"), "-c", "import chdb, sys; chdb.query(sys.argv[1])", sql]


def trailhouse(binary):
    def command(trail, to, jobs):
        limit = ["--jobs", str(jobs)] if jobs else []
        return [binary, "convert", trail, "--to", to, "--progress", "none", "-q", *limit]

    return command


def inflate(binary):
    return lambda trail, to, jobs: [binary, trail]


def measure(command):
    """Runs a command to its end: CPU seconds, wall seconds, peak bytes."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - start
    if process.returncode != 0:
        sys.exit(f"{command[0]}: exit code {process.returncode}\n{errors.decode(errors='replace')[-3000:]}")
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * 1024


def written(to):
    """The bytes and rows of a run's files."""
    files = list(to.rglob("event_date=*/*.parquet"))
    if not files:
        return 0, 0
    query = f"SELECT count(*) FROM '{to}/event_date=*/*.parquet'"
    count = "import duckdb, sys; print(duckdb.sql(sys.argv[1]).fetchall()[0][0])"
    rows = output_of([VENV / "bin" / "python", "-c", count, query])
    return sum(path.stat().st_size for path in files), int(rows)


def output_of(command):
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def install():
    if not (VENV / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    subprocess.run([VENV / "bin" / "pip", "install", "-q", "--disable-pip-version-check", *PACKAGES], check=True)


def inflate_binary():
    build = ["cargo", "bench", "--bench", "inflate", "--no-run", "--message-format", "json"]
    artifacts = [json.loads(line) for line in output_of(build).splitlines()]
    return next(it["executable"] for it in artifacts if it.get("target", {}).get("name") == "inflate")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trail", help="directory of .json.gz objects")
    parser.add_argument("binary", nargs="?", help="trailhouse's release binary; without it only the others run")
    parser.add_argument("--runs", type=int, default=5, help="runs of each [default: 5]")
    parser.add_argument("--jobs", type=int, help="threads of each but the baseline [default: all cores]")
    parser.add_argument("--inflate", help="the baseline's binary [default: cargo builds it]")
    arguments = parser.parse_args()
    trail = str(pathlib.Path(arguments.trail).resolve())

    install()
    contenders = {"inflate": inflate(arguments.inflate or inflate_binary())}
    if arguments.binary:
        arguments.binary = str(pathlib.Path(arguments.binary).resolve())
        contenders["trailhouse"] = trailhouse(arguments.binary)
    contenders |= {"duckdb": duckdb, "clickhouse": clickhouse}

    results = {name: [] for name in contenders}
    output = {}
    for run in range(arguments.runs):
        for name, command in contenders.items():
            shutil.rmtree(OUTPUT, ignore_errors=True)
            OUTPUT.mkdir()
            results[name].append(measure(command(trail, str(OUTPUT / name), arguments.jobs)))
            output[name] = written(OUTPUT / name)
            print(f"run {run + 1}: {name}: {results[name][-1][0]:.2f} s CPU", file=sys.stderr)
    shutil.rmtree(OUTPUT, ignore_errors=True)

    median = {name: [statistics.median(column) for column in zip(*runs)] for name, runs in results.items()}
    files = list(pathlib.Path(trail).rglob("*.json.gz"))
    size = sum(path.stat().st_size for path in files)
    machine = f"{os.cpu_count()} cores, {arguments.jobs or 'all'} used, {arguments.runs} runs"
    versions = PACKAGES + ([output_of([arguments.binary, "--version"])] if arguments.binary else [])
    print(f"{len(files)} objects, {size / 1e6:.1f} MB gzip; {machine}; {', '.join(versions)}\n")
    print("| | CPU s | wall s | peak MB | rows | written MB | CPU / trailhouse | CPU / inflate |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for name, (cpu, wall, peak) in median.items():
        size, rows = output[name]
        ratios = [f"{cpu / median[to][0]:.1f}" if to in median else "" for to in ("trailhouse", "inflate")]
        cells = [name, f"{cpu:.2f}", f"{wall:.2f}", f"{peak / 1e6:.0f}", f"{rows or ''}", f"{size / 1e6:.1f}", *ratios]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
