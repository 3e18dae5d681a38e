"""The job of bench/inference.ts in Ray Data: read 13 columns, compute features, score, write them all.

Reads what bench/data.ts made; appends to bench/peers/results.json.
Usage: python bench/peers/ray_inference.py [64 | 8]
"""

import json
import os
import pathlib
import shutil
import sys
import time

import numpy as np
import onnxruntime as ort
import pyarrow as pa
import pyarrow.parquet
import ray

here = pathlib.Path(__file__).resolve().parent
data = here.parent / ".data"
features = int(sys.argv[1]) if len(sys.argv) > 1 else 64
actors = 2
# Two actors hold a CPU each, and the file listing needs one more: with as many CPUs as the machine's
# two, Ray Data waits for ever.
cpus = 3


class Score:
    def __init__(self):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(
            str(data / f"mlp-{features}.onnx"), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, batch: pa.Table) -> pa.Table:
        names = ["amount", "age", "visits", "idle_days", "tickets", "items", "discount"]
        base = [batch[name].to_numpy().astype(np.float32) for name in names]
        base.append((batch["user_id"].to_numpy() % 64).astype(np.float32))
        if features == 8:
            x = np.stack(base, axis=1)
        else:
            x = np.stack([base[k >> 3] * np.float32((k + 1) * 0.01) + base[k & 7] for k in range(64)], axis=1)
        score = self.session.run(["score"], {"x": x})[0].reshape(-1)
        return batch.append_column("score", pa.array(score))


def run(paths, output):
    shutil.rmtree(output, ignore_errors=True)
    started = time.perf_counter()
    dataset = ray.data.read_parquet(paths).map_batches(
        Score, batch_format="pyarrow", batch_size=8192, compute=ray.data.ActorPoolStrategy(size=actors), num_cpus=1
    )
    dataset.write_parquet(str(output), compression="snappy")
    return time.perf_counter() - started


os.environ.setdefault("RAY_DEDUP_LOGS", "1")
started = time.perf_counter()
ray.init(num_cpus=cpus, include_dashboard=False, logging_level="error")
ray.data.DataContext.get_current().enable_progress_bars = False
run([str(data / "ten.parquet")], data / "peer-ten")
startup = time.perf_counter() - started

files = sorted(str(path) for path in (data / "visits").glob("*.parquet"))
seconds = run(files, data / "peer-out")
rows = sum(pa.parquet.read_metadata(path).num_rows for path in (data / "peer-out").glob("*.parquet"))
shutil.rmtree(data / "peer-out")

found = {
    "peer": f"Ray Data {ray.__version__}",
    "rows": rows,
    "features": features,
    "seconds": round(seconds, 2),
    "startupSeconds": round(startup, 2),
}
results = here / "results.json"
others = json.loads(results.read_text()) if results.exists() else []
others = [other for other in others if other["features"] != features]
results.write_text(json.dumps([*others, found], indent=1) + "\n")
print(found)
