"""What was trained, in one file: JSON, plain arrays and LightGBM's text; loading runs no code.

The file is one line of JSON and a zip archive: `content.json` says which class each part is of and
where its arrays (.npy) and boosters (.txt) lie. The line holds the format, the version of LightGBM
and the SHA-256 of the archive. Nothing is pickled: only the classes in `PARTS` are made, from
their fields.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from forecast.models.additive import fit_prophet
from forecast.models.decomposed import fit_mstl
from forecast.models.exponential import fit_ets
from forecast.models.harmonic import fit_harmonic
from forecast.trained import PARTS, Trained

FORMAT = 1  # raise it when a part or a feature changes its meaning and keeps its name
_KIND = "peakahead model"
_MOST_LINE = 1_000  # bytes of the first line
_CLASSES = {part.__name__: part for part in PARTS}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    f.__name__: f for f in (fit_ets, fit_harmonic, fit_mstl, fit_prophet)
}
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # the date of every entry: equal models, equal bytes
_WHAT_TO_DO = "delete it or name another file, and train anew"


class ModelRefused(ValueError):
    """The file is no model, or a damaged one; the message says what to do."""


class ModelOfOtherVersion(ModelRefused):
    """A whole model, but written by another version; train anew."""


@dataclass(frozen=True)
class _Files:
    """Entries of the archive while it is written."""

    entries: dict[str, bytes] = field(default_factory=dict)

    def add(self, ending: str, content: bytes) -> str:
        name = f"{len(self.entries)}.{ending}"
        self.entries[name] = content
        return name


def save(trained: Trained, path: str | Path) -> None:
    """Write what was trained to a file, aside first, then renamed: it is whole or not there.

    Raises
    ------
    OSError
        When the folder can't be written to; what stood there before stays.
    """
    path = Path(path)
    body = _archive(trained)
    line = _line(FORMAT, hashlib.sha256(body).hexdigest(), _lightgbm())
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(line + body)
            file.flush()
            os.fsync(file.fileno())
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


def load(path: str | Path) -> Trained:
    """Read what `save` wrote.

    Raises
    ------
    ModelOfOtherVersion
        When this version, or this LightGBM, doesn't read it.
    ModelRefused
        When it is damaged or no model at all.
    """
    path = Path(path)
    line, _, body = path.read_bytes().partition(b"\n")
    told = _told(path, line)
    wanted = {"format": FORMAT, "lightgbm": _lightgbm()}
    for name, value in wanted.items():
        if told[name] != value:
            raise ModelOfOtherVersion(
                f"{path}: its {name} is {told[name]}, {value} is needed; train anew"
            )
    if hashlib.sha256(body).hexdigest() != told["sha256"]:
        raise ModelRefused(
            f"{path}: damaged, its SHA-256 is not the one that was written; {_WHAT_TO_DO}"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            trained = _value(json.loads(archive.read("content.json")), archive)
    except ModelOfOtherVersion as error:
        raise ModelOfOtherVersion(f"{path}: {error}; train anew") from error
    except (ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise ModelRefused(f"{path}: its content can't be read ({error}); {_WHAT_TO_DO}") from error
    if not isinstance(trained, Trained):
        raise ModelRefused(f"{path}: holds a {type(trained).__name__}; {_WHAT_TO_DO}")
    return trained


def _lightgbm() -> str:
    import lightgbm

    return str(lightgbm.__version__)


def _line(version: int, sha256: str, lightgbm: str) -> bytes:
    told = {"kind": _KIND, "format": version, "lightgbm": lightgbm, "sha256": sha256}
    return json.dumps(told).encode() + b"\n"


def _told(path: Path, line: bytes) -> dict[str, Any]:
    """The first line; it must be exactly as it would be written."""
    try:
        told = json.loads(line[:_MOST_LINE])
        whole = _line(told["format"], told["sha256"], told["lightgbm"]) == line + b"\n"
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise ModelRefused(
            f"{path}: no model that peakahead wrote, or a damaged one; {_WHAT_TO_DO}"
        )
    return dict(told)


def _archive(trained: Trained) -> bytes:
    files = _Files()
    content = json.dumps(_plain(trained, files), allow_nan=False).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, entry in {"content.json": content, **files.entries}.items():
            archive.writestr(
                zipfile.ZipInfo(name, _EARLIEST), entry, compress_type=zipfile.ZIP_DEFLATED
            )
    return buffer.getvalue()


def _plain(value: Any, files: _Files) -> Any:
    """A value as JSON; arrays and boosters go to files of their own."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple):
        return {"tuple": [_plain(each, files) for each in value]}
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            return {"texts": [_text(each) for each in value]}
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, value, allow_pickle=False)
        return {"array": files.add("npy", buffer.getvalue())}
    if hasattr(value, "model_to_string"):
        return {"booster": files.add("txt", value.model_to_string().encode())}
    if callable(value) and value in _FUNCTIONS.values():
        return {"function": value.__name__}
    if is_dataclass(value) and type(value) in PARTS:
        inner = {each.name: getattr(value, each.name) for each in fields(value)}
        told = {name: _plain(each, files) for name, each in inner.items()}
        return {"part": type(value).__name__, "fields": told}
    raise TypeError(f"a {type(value).__name__} can't be saved; list its class in trained.PARTS")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"an array of {type(value).__name__} can't be saved; make it text")
    return value


def _value(told: Any, archive: zipfile.ZipFile) -> Any:
    """The inverse of `_plain`."""
    if not isinstance(told, dict):
        return told
    if "tuple" in told:
        return tuple(_value(each, archive) for each in told["tuple"])
    if "texts" in told:
        return np.array([_text(each) for each in told["texts"]], dtype=object)
    if "array" in told:
        buffer = io.BytesIO(archive.read(told["array"]))
        return np.lib.format.read_array(buffer, allow_pickle=False)
    if "booster" in told:
        return _booster(archive.read(told["booster"]).decode())
    if "function" in told:
        return _FUNCTIONS[told["function"]]
    return _part(told["part"], told["fields"], archive)


def _part(name: str, told: dict[str, Any], archive: zipfile.ZipFile) -> Any:
    made = _CLASSES.get(name)
    if made is None or {each.name for each in fields(made)} != set(told):
        raise ModelOfOtherVersion(f"this version knows no {name} of {', '.join(sorted(told))}")
    return made(**{each: _value(value, archive) for each, value in told.items()})


def _booster(text: str) -> Any:
    import lightgbm as lgb

    try:
        return lgb.Booster(model_str=text)
    except lgb.basic.LightGBMError as error:
        raise ValueError(f"no trees of LightGBM: {error}") from error
