import io
import json
import pickle
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast import (
    MODELS,
    ModelOfOtherVersion,
    ModelRefused,
    forecast,
    load,
    saved,
    train,
)
from forecast import save as save_model
from forecast.backtest import head
from forecast.engine import DEFAULT_MEMBERS
from tests.forecast import market

pytestmark = pytest.mark.usefixtures("brief_training")
DAYS = 32


def same(a, b):
    assert a.quantiles.tobytes() == b.quantiles.tobytes()
    assert a.mean.tobytes() == b.mean.tobytes()
    assert a.paths.tobytes() == b.paths.tobytes()
    assert list(a.model) == list(b.model)


def known(panel):
    category = ["a", "b"] * len(panel.ids)
    products = pd.DataFrame({"product_id": panel.ids, "category": category[: len(panel.ids)]})
    start = panel.ds[24 * 20]
    weekly = [("flash", start + pd.Timedelta(days=7 * k), 3, None, None) for k in range(3)]
    return {"products": products, "events": market.events(weekly), "country": "CN"}


@pytest.fixture(scope="module")
def whole():
    return market.panel(n=4, days=DAYS, seed=1)


@pytest.fixture(scope="module")
def past(whole):
    return head(whole, 24 * (DAYS - 2))


@pytest.fixture(scope="module")
def trained(past):
    return train(past, 24, **known(past))


@pytest.fixture(scope="module")
def stored(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("stored") / "a.model"
    save_model(trained, path)
    return path


@pytest.fixture
def file(stored, tmp_path):
    """A copy of one's own."""
    return Path(shutil.copy(stored, tmp_path))


def test_what_was_trained_forecasts_as_a_forecast_that_trains(past, trained):
    same(forecast(past, 24, **known(past)), forecast(past, 24, trained=trained, **known(past)))


def test_a_saved_model_forecasts_in_equal_bytes(past, trained, file):
    assert len(trained.fits) == len(DEFAULT_MEMBERS)
    a = forecast(past, 24, trained=trained, **known(past))
    same(a, forecast(past, 24, trained=load(file), **known(past)))


SLOW = {"harmonic", "mstl", "prophet", "statsmodels"}


@pytest.mark.parametrize("name", MODELS)
def test_every_member_can_be_saved(name, past, tmp_path):
    last = slice(-24 * 20, None)
    few = replace(
        past,
        ids=past.ids[:2],
        ds=past.ds[last],
        y=past.y[:2, last],
        orders=past.orders[:2, last],
    )
    made = train(few, 24, members=[name])
    save_model(made, tmp_path / "m")
    again = load(tmp_path / "m")
    save_model(again, tmp_path / "n")
    assert (tmp_path / "m").read_bytes() == (tmp_path / "n").read_bytes()
    if name in SLOW:  # they fit when asked to predict, whatever was saved
        return
    same(
        forecast(few, 24, members=[name], n_paths=4, trained=made),
        forecast(few, 24, members=[name], n_paths=4, trained=again),
    )


def test_equal_models_are_equal_files(trained, file, tmp_path):
    save_model(load(file), tmp_path / "b")
    assert file.read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.model", "b"]


def test_reloaded_an_hour_later_it_forecasts_from_there(whole, past, file):
    later = head(whole, len(past.ds) + 1)
    ahead = forecast(later, 24, trained=load(file), **known(past))
    assert ahead.ds[0] == past.ds[-1] + pd.Timedelta("2h")
    before = forecast(past, 24, trained=load(file), **known(past))
    assert before.ds[1] == ahead.ds[0]
    assert not np.array_equal(before.quantiles[:, 1:], ahead.quantiles[:, :-1])


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.2, 0.5, 0.8, 0.99999])
def test_a_flipped_bit_is_refused(share, file):
    content = bytearray(file.read_bytes())
    content[int(share * len(content))] ^= 4
    file.write_bytes(content)
    with pytest.raises(ModelRefused, match="train anew"):
        load(file)


def test_a_flipped_bit_anywhere_in_the_first_line_is_refused(file):
    content = file.read_bytes()
    for place in range(content.index(b"\n") + 1):
        flipped = bytearray(content)
        flipped[place] ^= 1
        file.write_bytes(flipped)
        with pytest.raises(ModelRefused):
            load(file)


@pytest.mark.parametrize("share", [0.0, 0.00005, 0.5, 0.99999])
def test_a_truncated_file_is_refused(share, file):
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ModelRefused, match="train anew"):
        load(file)


class Stranger:
    pass


@pytest.mark.parametrize("content", [pickle.dumps({"kind": 1}), b"unique_id,ds,y\n", b"{}\n", b""])
def test_what_is_no_model_is_refused(content, tmp_path):
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(ModelRefused, match="no model"):
        load(tmp_path / "f")


def forged(file, change):
    """The file with its archive's entries changed and a hash that fits."""
    _, _, body = file.read_bytes().partition(b"\n")
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    change(entries)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, entry in entries.items():
            archive.writestr(name, entry)
    head = json.loads(file.read_bytes().partition(b"\n")[0])
    head["sha256"] = saved.hashlib.sha256(buffer.getvalue()).hexdigest()
    file.write_bytes(json.dumps(head).encode() + b"\n" + buffer.getvalue())


def test_a_pickle_in_the_place_of_an_array_is_refused(file):
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": 1}], dtype=object), allow_pickle=True)

    def put(entries):
        entries[next(name for name in entries if name.endswith(".npy"))] = buffer.getvalue()

    forged(file, put)
    with pytest.raises(ModelRefused, match="pickle"):
        load(file)


def test_a_class_that_is_not_listed_is_not_made(file):
    def rename(entries):
        entries["content.json"] = entries["content.json"].replace(b'"Trees"', b'"Popen"')

    forged(file, rename)
    with pytest.raises(ModelOfOtherVersion, match="knows no Popen"):
        load(file)


def test_loading_unpickles_nothing(file, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    assert load(file).blend.members == DEFAULT_MEMBERS


@pytest.mark.parametrize(("name", "value"), [("format", saved.FORMAT + 1), ("lightgbm", "99.0.0")])
def test_another_version_is_refused_as_such(name, value, file):
    line, _, body = file.read_bytes().partition(b"\n")
    told = json.loads(line) | {name: value}
    file.write_bytes(json.dumps(told).encode() + b"\n" + body)
    with pytest.raises(ModelOfOtherVersion, match=f"its {name} is {value}.*train anew"):
        load(file)


def test_a_failed_save_leaves_the_file_as_it_was(file, trained):
    before = file.read_bytes()
    with pytest.raises(TypeError, match="Stranger can't be saved"):
        save_model(replace(trained, fits=(Stranger(),)), file)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]
