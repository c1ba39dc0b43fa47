"""Configuration: every mistake named at once, every default the contract's."""

from __future__ import annotations

import pandas as pd
import pytest

from planning.workspace import ConfigError, load_workspace, parse_as_of

MINIMAL = """
[data]
timezone = "Asia/Shanghai"
orders = "orders.parquet"
products = "products.csv"
suppliers = "suppliers.csv"
offers = "offers.csv"
{data}
[planning]
working_capital = 1_000_000
{rest}
"""
NOW = pd.Timestamp("2026-05-01 03:04:05.678901", tz="UTC")


def load(root, data="", rest="", text=None):
    content = MINIMAL.format(data=data, rest=rest) if text is None else text
    (root / "peakahead.toml").write_text(content, encoding="utf-8")
    return load_workspace(root)


def test_defaults_are_the_contracts(tmp_path):
    workspace = load(tmp_path)
    assert set(workspace.sources) == {"orders", "products", "suppliers", "offers"}
    assert workspace.sources["orders"] == str(tmp_path / "orders.parquet")
    assert workspace.max_quarantine_share == 0.1
    assert (workspace.freq, workspace.horizon) == ("1h", pd.Timedelta(hours=72))
    assert workspace.working_capital == 1e6
    assert (workspace.target_minutes, workspace.target_share) == (5, 0.95)
    assert (workspace.delay_cost_per_minute, workspace.capital_cost_per_year) == (0.05, 0.08)
    assert set(workspace.segment_weight.values()) == {1.0}
    assert workspace.export_formats == ("xlsx", "csv", "json")
    assert workspace.language == "en"
    assert workspace.store_url.database == f"{tmp_path}/peakahead.db"


def test_an_optional_table_of_the_default_name_is_read_where_it_lies(tmp_path):
    (tmp_path / "stock.csv").write_text("product_id,supplier_id,units\n")
    assert load(tmp_path).sources["stock"] == str(tmp_path / "stock.csv")
    assert "events" not in load(tmp_path).sources


def test_layout_and_comments_do_not_change_the_hash(tmp_path):
    plain, noted = load(tmp_path), load(tmp_path, rest="# a word\n\n")
    assert plain.config_sha256 == noted.config_sha256
    assert load(tmp_path, rest="target_minutes = 6").config_sha256 != plain.config_sha256


WRONG = {
    "unknown key": ("", "target_minuts = 5", ["'target_minuts'", "'target_minutes'"]),
    "unknown section": ("", "[forcast]", ["'forcast'", "'forecast'"]),
    "no resemblance": ("", "zzz = 5", ["'zzz'", "allowed: capital_cost_per_year"]),
    "type": ("", 'target_minutes = "5"', ["planning.target_minutes = '5'", "a number"]),
    "bool": ("", "target_minutes = true", ["planning.target_minutes = True"]),
    "nan": ("", "target_minutes = nan", ["planning.target_minutes = nan"]),
    "never met": ("", "target_minutes = 0.08", ["planning.target_minutes = 0.08", "0.1 or more"]),
    "range": ("", "target_share = 95", ["planning.target_share = 95", "at most 1"]),
    "share": ("max_quarantine_share = -0.1", "", ["data.max_quarantine_share", "0 or more"]),
    "freq": ("", '[forecast]\nfreq = "2h"', ["forecast.freq = '2h'", '"15min", "30min", "1h"']),
    "horizon": ("", '[forecast]\nhorizon = "90min"', ["forecast.horizon = '90min'", "72h"]),
    "long": ("", '[forecast]\nhorizon = "999d"', ["forecast.horizon", "at most 92 days"]),
    "formats": ("", '[export]\nformats = ["pdf"]', ["export.formats", '"xlsx", "csv", "json"']),
    "no formats": ("", "[export]\nformats = []", ["export.formats = []"]),
    "language": ("", '[export]\nlanguage = "fr"', ["export.language = 'fr'", '"en", "zh"']),
    "store": ("", '[store]\nurl = "mysql://u:secret@h/d"', ["store.url", "mysql://u:***@h/d"]),
    "memory": ("", '[store]\nurl = "sqlite://"', ["store.url = 'sqlite://'"]),
    "segment": ("", "[planning.segment_weight]\nvip = 2", ["'vip'", "enterprise"]),
    "rename": ("[data.columns.orders]\norderd_at = 'x'", "", ["'orderd_at'", "'ordered_at'"]),
    "rename type": (
        "[data.columns.orders]\nordered_at = 3",
        "",
        ["data.columns.orders.ordered_at"],
    ),
    "rename table": ("[data.columns.order]\nordered_at = 'x'", "", ["'order'", "'orders'"]),
    "word": (
        "[data.values.orders.status]\ndeliverd = 'ok'",
        "",
        ["'deliverd' in [data.values.orders.status]", "'delivered'"],
    ),
    "word type": (
        "[data.values.orders.status]\ndelivered = 1",
        "",
        ["data.values.orders.status.delivered = 1"],
    ),
    "word twice": (
        "[data.values.orders.status]\ndelivered = ['ok', 'x']\nfailed = 'x'",
        "",
        ["data.values.orders.status.failed = 'x'", "'delivered'"],
    ),
    "word column": ("[data.values.orders.quantity]\none = 'x'", "", ["'quantity'", "status"]),
    "query alone": ("orders_query = 'select 1'", "", ["orders_query is given but"]),
    "section": ("columns = 3", "", ["data.columns = 3", "a table of keys"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_told_with_its_key_and_what_is_allowed(tmp_path, case):
    data, rest, parts = WRONG[case]
    with pytest.raises(ConfigError) as error:
        load(tmp_path, data, rest)
    for part in parts:
        assert part in str(error.value)
    assert "secret" not in str(error.value)


def test_all_mistakes_are_told_at_once(tmp_path):
    with pytest.raises(ConfigError) as error:
        load(tmp_path, text='[data]\ntimezone = "Asia/Shangai"\n[planing]\n[forecast]\nfreq = 1\n')
    for part in (
        "data.orders is missing",
        "data.products is missing",
        "data.suppliers is missing",
        "data.offers is missing",
        "Asia/Shanghai",
        "planning.working_capital is missing",
        "'planing'",
        "forecast.freq = 1",
    ):
        assert part in str(error.value)


def test_a_database_of_orders_needs_its_query(tmp_path):
    text = MINIMAL.format(data="", rest="").replace("orders.parquet", "postgresql://u:pw@h/d")
    with pytest.raises(ConfigError, match="orders_query is missing") as error:
        load(tmp_path, text=text)
    assert "pw" not in str(error.value)
    with pytest.raises(ConfigError, match="only orders may come from a database"):
        load(tmp_path, text=MINIMAL.replace("products.csv", "sqlite:///x").format(data="", rest=""))


LEAKS = {  # what of the minimal configuration is replaced, and by what
    "blank before": ("orders.parquet", " postgresql://shop:secret@h/d"),
    "jdbc": ("orders.parquet", "jdbc:postgresql://h/d?user=shop&password=secret"),
    "a list": ('"orders.parquet"', '["postgresql://shop:secret@h/d"]'),
    "a table": ('"orders.parquet"', '{url = "postgresql://h/d", password = "secret word"}'),
    "products": ("products.csv", "postgresql://h/d?user=u&password=secret"),
    "an @ and a blank in it": ("products.csv", "postgresql://u:se@cret secret@h/d"),
    "a user with an @": ("products.csv", "postgresql://u@tenant:secret@h/d"),
    "an @ in that of orders": ("orders.parquet", "postgresql://u:se@cret@h/d"),
    "an @ and a slash": ("orders.parquet", "postgresql://u:se@cr/et@cret@h/d"),
    "an @ in that of the store": ("[data]", '[store]\nurl = "postgresql://u:se@cret@h/d"\n[data]'),
    "store": ("[data]", '[store]\nurl = "postgres://h/d?user=shop&password=secret"\n[data]'),
    "store's list": ("[data]", '[store]\nurl = ["postgresql://u:secret@h/d"]\n[data]'),
    "store, bare": ("[data]", 'store = "postgresql://u:secret@h/d"\n[data]'),
}


@pytest.mark.parametrize("case", LEAKS)
def test_a_password_in_the_wrong_place_is_never_told(tmp_path, case):
    with pytest.raises(ConfigError) as error:
        load(tmp_path, text=MINIMAL.format(data="", rest="").replace(*LEAKS[case]))
    for part in ("secret", "cret"):
        assert part not in str(error.value)


def test_an_address_with_blanks_around_it_is_one(tmp_path):
    text = MINIMAL.format(data="orders_query = 'select 1'", rest="")
    text = text.replace("orders.parquet", " postgresql://u:pw@h/d ")
    assert load(tmp_path, text=text).sources["orders"] == "postgresql://u:pw@h/d"


def test_passwords_stay_out_of_the_representation(tmp_path):
    rest = '[store]\nurl = "postgresql+psycopg://u:secret@h/d"'
    assert "secret" not in repr(load(tmp_path, rest=rest))
    url = load(tmp_path, rest=rest).store_url
    assert url.render_as_string(hide_password=False) == "postgresql+psycopg://u:secret@h/d"


@pytest.mark.parametrize("content", [b"[data", b"\xff\xfe", b"timezone = 2026-02-30"])
def test_a_file_that_is_no_toml(tmp_path, content):
    (tmp_path / "peakahead.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"peakahead\.toml"):
        load_workspace(tmp_path)


def test_a_folder_that_is_no_workspace(tmp_path):
    with pytest.raises(ConfigError, match="--workspace"):
        load_workspace(tmp_path / "none")


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "Mars/Base", "/etc/localtime"])
def test_a_time_zone_must_exist(tmp_path, name):
    text = MINIMAL.format(data="", rest="").replace("Asia/Shanghai", name)
    with pytest.raises(ConfigError, match=r"data\.timezone"):
        load(tmp_path, text=text)


AS_OF = {
    "2026-05-01": "2026-04-30T23:00:00+00:00",
    "2026-05-01T08:00": "2026-05-01T07:00:00+00:00",
    " 2026-05-01 08:00:00.5 ": "2026-05-01T07:00:00.500000+00:00",
    "2026-05-01T08:00+08:00": "2026-05-01T00:00:00+00:00",
    "2026-05-01T08:00:00 Z": "2026-05-01T08:00:00+00:00",
    "2026-10-25T01:30": "2026-10-25T00:30:00+00:00",  # comes twice: the earlier
    None: NOW.isoformat(),
}


@pytest.mark.parametrize("text", AS_OF)
def test_as_of_is_local_unless_it_says_otherwise(text):
    stamp = parse_as_of(text, "Europe/London", NOW)
    assert stamp.tz_convert("UTC").isoformat() == AS_OF[text]
    assert str(stamp.tz) == "Europe/London"


@pytest.mark.parametrize(
    "text",
    ["", "now", "01/02/2026", "2026-02-30", "2026-W05", "20260501", "2026-03-29T01:30", "45"],
)
def test_an_as_of_that_is_no_instant(text):
    with pytest.raises(ConfigError, match="--as-of"):
        parse_as_of(text, "Europe/London", NOW)


@pytest.mark.parametrize("text", ["2500-01-01", "1989-12-31", "9999-12-31T23:00-12:00"])
def test_an_as_of_in_a_year_of_no_table(text):
    with pytest.raises(ConfigError, match="1990 to 2199"):
        parse_as_of(text, "Europe/London", NOW)


def test_a_clock_change_at_midnight_has_its_midnight_refused():
    with pytest.raises(ConfigError, match="does not exist"):
        parse_as_of("2026-09-06", "America/Santiago", NOW)
