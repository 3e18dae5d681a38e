"""Specs on their way to the gateway: nothing here asks anybody."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from windrow_airflow.errors import WindrowRefused
from windrow_airflow.spec import load, read


def written(directory: Path, text: str) -> str:
    path = directory / "job.yaml"
    path.write_text(text)
    return str(path)


def test_a_spec_is_read_as_yaml_1_2(tmp_path: Path) -> None:
    text = """
      words: [no, yes, on, off, 2026-11-20, 12:30:00, 1_000, <<, =]
      values: [true, False, null, ~, , 010, 0o17, 0x1F, -3, 1e3, .5, 4.]
    """
    assert read(written(tmp_path, text.replace("~, ,", "~,"))) == {
        "words": [
            "no",
            "yes",
            "on",
            "off",
            "2026-11-20",
            "12:30:00",
            "1_000",
            "<<",
            "=",
        ],
        "values": [True, False, None, None, 10, 15, 31, -3, 1000.0, 0.5, 4.0],
    }


def test_relative_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    spec = """
      sources: { a: { parquet: in/*.parquet }, b: { parquet: [../b.parquet, /c.parquet] } }
      outputs: [{ from: a, parquet: "out/{{ day }}" }, { from: b, parquet: s3://bucket/b }]
      deadLetters: { path: dead, maxRows: 3 }
      checkpoints: { location: chunks }
      shuffle: { location: shuffle }
    """
    folder = tmp_path / "jobs"
    folder.mkdir()
    written(folder, spec)
    made, files = load("jobs/job.yaml", {}, str(tmp_path))
    assert made == {
        "sources": {
            "a": {"parquet": f"{folder}/in/*.parquet"},
            "b": {"parquet": [f"{tmp_path}/b.parquet", "/c.parquet"]},
        },
        "outputs": [
            {"from": "a", "parquet": f"{folder}/out/{{{{ day }}}}"},
            {"from": "b", "parquet": "s3://bucket/b"},
        ],
        "deadLetters": {"path": f"{folder}/dead", "maxRows": 3},
        "checkpoints": {"location": f"{folder}/chunks"},
        "shuffle": {"location": f"{folder}/shuffle"},
    }
    assert files == {}


def test_models_and_modules_go_along_by_digest(tmp_path: Path) -> None:
    model = tmp_path / "v2.onnx"
    model.write_bytes(b"a model")
    spec = {
        "params": {"version": "v1"},
        "steps": [
            {"id": "a", "infer": {"from": "x", "model": "{{ version }}.onnx"}},
            {"id": "b", "infer": {"from": "a", "model": str(model)}},
        ],
    }
    before = json.dumps(spec)
    made, files = load(spec, {"version": "v2"}, str(tmp_path))
    assert [step["infer"]["model"] for step in made["steps"]] == [str(model)] * 2
    digest = hashlib.sha256(b"a model").hexdigest()
    assert {path: file.to_json() for path, file in files.items()} == {
        str(model): {"digest": digest, "bytes": 7, "name": "v2.onnx"}
    }
    assert json.dumps(spec) == before


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("a: 1\na: 2", "E_SPEC_DUPLICATE_KEY", "line 2, column 1"),
        ("a: [", "E_SPEC_SYNTAX", "line 1, column 5"),
        ("{[a]: 1}", "E_SPEC_SYNTAX", "a key must be plain text"),
        ("- a", "E_SPEC_SYNTAX", "is no mapping"),
        (
            "a: !!python/object/apply:os.getcwd []",
            "E_SPEC_SYNTAX",
            "could not determine",
        ),
        ("[" * 5000, "E_SPEC_SYNTAX", ""),
        ("steps: [{ infer: { model: none.onnx } }]", "E_MODEL_MISSING", "No such file"),
        (
            "steps: [{ map: { module: none.js } }]",
            "E_MAP_MODULE_MISSING",
            "No such file",
        ),
    ],
)
def test_what_cannot_travel_is_refused_for_good(
    tmp_path: Path, text: str, code: str, said: str
) -> None:
    with pytest.raises(WindrowRefused, match=code) as caught:
        load(written(tmp_path, text), {}, "/")
    assert said in str(caught.value)


def test_a_spec_that_is_not_there_is_refused_for_good(tmp_path: Path) -> None:
    with pytest.raises(WindrowRefused, match="E_SPEC_MISSING"):
        load("none.yaml", {}, str(tmp_path))


@pytest.mark.parametrize("spec", [{}, {"sources": 3, "steps": [None, {"infer": 1}], "outputs": {}}])
def test_another_shape_is_left_for_the_coordinator_to_judge(
    spec: dict[str, object],
) -> None:
    assert load(spec, {}, "/") == (spec, {})
