"""Makes a spec ready to travel as JSON: read as the YAML 1.2 that it is, its paths absolute, the
files that go along named. Never checks what it means: the coordinator does, for every caller."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import yaml

from windrow_airflow.errors import error_of

PATHS = (
    ("sources", "*", "parquet"),
    ("sources", "*", "parquet", "*"),
    ("checkpoints", "location"),
    ("shuffle", "location"),
    ("deadLetters", "path"),
    ("outputs", "*", "parquet"),
)
"""Where a spec names data; `*` stands for every member."""

FILES = {
    ("steps", "*", "infer", "model"): "E_MODEL_MISSING",
    ("steps", "*", "map", "module"): "E_MAP_MODULE_MISSING",
}
"""Where a spec names a file whose bytes go along with the job; the code of one that is missing."""


@dataclass(frozen=True)
class LocalFile:
    """A file of this machine, by the SHA-256 of its bytes in hex."""

    path: str
    digest: str
    bytes: int

    def to_json(self) -> dict[str, Any]:
        return {
            "digest": self.digest,
            "bytes": self.bytes,
            "name": os.path.basename(self.path),
        }


def load(
    spec: str | os.PathLike[str] | Mapping[str, Any],
    params: Mapping[str, Any],
    directory: str,
) -> tuple[dict[str, Any], dict[str, LocalFile]]:
    """
    The spec as the gateway takes it, and the files that go along, by the path that it names.

    :param spec: the path of a YAML or JSON file, absolute or relative to `directory`, or what
        would stand in one; relative paths in it are relative to that file, or to `directory`
    :param params: values of params that the spec declares
    :raises WindrowRefused: E_SPEC_MISSING, E_SPEC_SYNTAX, E_SPEC_DUPLICATE_KEY,
        E_MODEL_MISSING, E_MAP_MODULE_MISSING
    """
    if isinstance(spec, Mapping):
        made = deepcopy(dict(spec))
    else:
        path = os.path.join(directory, spec)
        made, directory = read(path), os.path.dirname(path)
    for place in (*PATHS, *FILES):
        for holder, key in _texts(made, place):
            # What is no file path is left for the coordinator to judge.
            if "://" not in holder[key]:
                holder[key] = os.path.normpath(os.path.join(directory, holder[key]))
    declared = made.get("params")
    values = {**(declared if isinstance(declared, Mapping) else {}), **params}
    files: dict[str, LocalFile] = {}
    for place, missing in FILES.items():
        for holder, key in _texts(made, place):
            holder[key] = path = _pasted(holder[key], values)
            files[path] = files.get(path) or _local_file(path, missing)
    return made, files


def read(path: str) -> dict[str, Any]:
    """
    What stands in a spec file.

    :raises WindrowRefused: E_SPEC_MISSING, E_SPEC_SYNTAX, E_SPEC_DUPLICATE_KEY
    """
    try:
        with open(path, encoding="utf-8") as text:
            value = yaml.load(text, Loader=_CoreLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        code = "E_SPEC_DUPLICATE_KEY" if isinstance(error, _DuplicateKey) else "E_SPEC_SYNTAX"
        raise _refused(code, str(error), path, "correct the text") from error
    except OSError as error:
        hint = "give the path of a YAML or JSON file that this Airflow worker can read"
        raise _refused("E_SPEC_MISSING", f"cannot be read: {error.strerror}", path, hint) from error
    if not isinstance(value, dict):
        hint = "start with apiVersion: windrow/v1 and kind: Job"
        raise _refused("E_SPEC_SYNTAX", "is no mapping", path, hint)
    return value


class _DuplicateKey(yaml.constructor.ConstructorError):
    pass


class _CoreLoader(yaml.SafeLoader):
    """PyYAML reads YAML 1.1, where `no` is false and 2026-11-20 a date; specs are YAML 1.2 core."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key must be plain text", key.start_mark
                )
            if key.value in seen:
                said = f"key {key.value!r} is there twice"
                raise _DuplicateKey(None, None, said, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _int_of(loader: yaml.SafeLoader, node: Any) -> int:
    text = loader.construct_scalar(node)
    return int(text, 0 if text.startswith(("0o", "0x")) else 10)


for _tag, _pattern, _first in (
    ("null", r"(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$",
        list("-+.0123456789"),
    ),
):
    _CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)
_CoreLoader.add_constructor("tag:yaml.org,2002:int", _int_of)


def _texts(value: Any, place: tuple[str, ...]) -> Iterator[tuple[Any, Any]]:
    """Containers and keys of the texts at a place of a spec, whatever else its shape is."""
    name, *rest = place
    if isinstance(value, dict):
        keys = list(value) if name == "*" else [name] * (name in value)
    else:
        keys = list(range(len(value))) if name == "*" and isinstance(value, list) else []
    for key in keys:
        if rest:
            yield from _texts(value[key], tuple(rest))
        elif isinstance(value[key], str):
            yield value, key


def _pasted(text: str, params: Mapping[str, Any]) -> str:
    """A file that is read here needs its `{{ name }}` here; an unknown one is left as it is."""
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda found: str(params.get(found[1], found[0])), text)


def _local_file(path: str, missing: str) -> LocalFile:
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while part := file.read(1 << 20):
                digest.update(part)
            return LocalFile(path, digest.hexdigest(), file.tell())
    except OSError as error:
        hint = "models and modules go along: give a file that this Airflow worker can read"
        raise _refused(missing, f"cannot be read: {error.strerror}", path, hint) from error


def _refused(code: str, message: str, path: str, hint: str) -> Exception:
    failure = {"kind": "invalidSpec", "code": code, "message": message, "hint": hint}
    return error_of({**failure, "at": {"file": path}})
