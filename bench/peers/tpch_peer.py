"""One peer on TPC-H: takes a query a line on standard input, answers its seconds a line on standard output.

A line in is {"sql", "answer"}; the answer is written there as Parquet after the clock has stopped. The first line
out is {"peer", "startupSeconds"}, the others {"seconds"} or {"error"}. What a query is and whether an answer is
right is decided by tpch.ts, never here.
Usage: python bench/peers/tpch_peer.py spark|daft|polars FOLDER   (a folder of tables for each)
"""

import json
import os
import pathlib
import sys
import tempfile
import time
from importlib.metadata import version

cores = 2
tables = ["lineitem", "orders", "partsupp", "part", "customer", "supplier", "nation", "region"]


def spark(files):
    from pyspark.sql import SparkSession

    session = (
        SparkSession.builder.master(f"local[{cores}]")
        .config("spark.driver.memory", "8g")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .config("spark.local.dir", tempfile.gettempdir())
        .config("spark.sql.session.timeZone", "UTC")
        .getOrCreate()
    )
    for table, pattern in files.items():
        session.read.parquet(pattern).createOrReplaceTempView(table)
    return f"Spark {version('pyspark')}", lambda sql: session.sql(sql).toArrow()


def daft(files):
    os.environ.update(DAFT_ANALYTICS_ENABLED="0", DO_NOT_TRACK="true", DAFT_PROGRESS_BAR="0")
    import daft

    daft.set_runner_native(num_threads=cores)
    frames = {table: daft.read_parquet(pattern) for table, pattern in files.items()}
    return f"Daft {version('daft')}", lambda sql: daft.sql(sql, **frames).to_arrow()


def polars(files):
    os.environ["POLARS_MAX_THREADS"] = str(cores)
    import polars

    context = polars.SQLContext({table: polars.scan_parquet(pattern) for table, pattern in files.items()})
    return f"Polars {version('polars')}", lambda sql: context.execute(sql).collect(engine="streaming").to_arrow()


def serve(start, folder):
    # Libraries and the JVM print where they like; only what stands on this copy are answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    # Before any library counts the processors; the JVM inherits it.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    started = time.perf_counter()
    peer, run = start({table: str(folder / table / "*.parquet") for table in tables})
    import pyarrow.parquet

    run("select count(*) as nations from nation")
    print(json.dumps({"peer": peer, "startupSeconds": time.perf_counter() - started}), file=answers)
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            started = time.perf_counter()
            answer = run(asked["sql"])
            said = {"seconds": time.perf_counter() - started}
            pyarrow.parquet.write_table(answer, asked["answer"])
        except Exception as error:
            said = {"error": " ".join(str(error).split())[:300]}
        print(json.dumps(said), file=answers)


serve({"spark": spark, "daft": daft, "polars": polars}[sys.argv[1]], pathlib.Path(sys.argv[2]))
