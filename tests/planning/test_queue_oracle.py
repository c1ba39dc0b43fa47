"""The spot queue against Ciw, an independent simulator: order by order, the same waits."""

import ciw
import numpy as np
import pytest

from planning.spot import SpotMarket, service_noise
from tests.planning.strategies import a_market

FAR = 1e9  # minutes: past every order


class Given(ciw.dists.Distribution):
    """The service time [M] of each order, by its number of arrival (from 1)."""

    def __init__(self, minutes):
        self.minutes = minutes

    def sample(self, t=None, ind=None):
        return self.minutes[ind.id_number - 1]


class Gaps(ciw.dists.Distribution):
    """Minutes between arrivals, each once; Ciw's own copies an iterator, which Python warns of."""

    def __init__(self, minutes):
        self.minutes, self.taken = minutes, 0

    def sample(self, t=None, ind=None):
        self.taken += 1
        return self.minutes[self.taken - 1]


def ciw_waits(at, service, channels):
    """Minutes [M] that orders at minutes `at` wait for one of the channels, by Ciw."""
    gaps = np.append(np.diff(at, prepend=0.0), FAR)
    network = ciw.create_network(
        arrival_distributions=[Gaps(gaps.tolist())],
        service_distributions=[Given(service.tolist())],
        number_of_servers=[channels],
    )
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_time(FAR / 2)
    records = sorted(simulation.get_all_records(), key=lambda record: record.id_number)
    assert len(records) == len(at)
    return np.array([record.waiting_time for record in records])


def our_waits(at, minutes, noise, channels, product=None):
    market = two_products(channels, minutes)
    run = SpotMarket(market).serve(
        at=at * 60,
        product=np.zeros(len(at), "int32") if product is None else product,
        quantity=np.ones(len(at), "int64"),
        noise=noise,
        lot_product=np.empty(0, "int64"),
        since=np.empty(0),
        until=np.empty(0),
        units=np.empty(0),
    )
    assert (run.source >= 0).all()
    return run.wait


def two_products(channels, minutes):
    """One supplier of two products that share its channels and differ in their service time."""
    one = a_market()
    doubled = (
        "direct shelf_life unit_cost spot_unit_cost min_order_qty pack_size lead_time max_units "
        "max_units_per_hour fill_rate loss_rate"
    )
    return a_market(
        product_ids=np.array(["p0", "p1"], dtype=object),
        channels=np.array([channels]),
        offer_supplier=np.array([0, 0]),
        offer_product=np.array([0, 1]),
        spot_minutes=np.array([minutes, 2 * minutes]),
        **{name: np.repeat(getattr(one, name), 2) for name in doubled.split()},
    )


@pytest.mark.parametrize("channels", [1, 2, 7])
@pytest.mark.parametrize("load", [0.7, 1.0, 1.6])
@pytest.mark.parametrize("law", ["constant", "lognormal", "exponential"])
def test_orders_wait_as_in_ciw(channels, load, law):
    rng = np.random.default_rng([channels, round(10 * load)])
    at = np.cumsum(rng.exponential(3.0 / (channels * load), 400))
    noise = {
        "constant": np.ones(len(at)),
        "lognormal": service_noise(rng, len(at)),
        "exponential": rng.exponential(1.0, len(at)),
    }[law]
    ours, theirs = our_waits(at, 3.0, noise, channels), ciw_waits(at, 3.0 * noise, channels)
    assert theirs.max() > 3.0
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)


def test_orders_of_one_instant_wait_in_their_order():
    at = np.repeat([1.0, 1.5, 2.0], 5)
    noise = service_noise(np.random.default_rng(0), len(at))
    ours, theirs = our_waits(at, 2.0, noise, 3), ciw_waits(at, 2.0 * noise, 3)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)


def test_products_of_one_supplier_share_its_channels():
    rng = np.random.default_rng(5)
    at = np.cumsum(rng.exponential(1.2, 300))
    product = rng.integers(0, 2, len(at)).astype("int32")
    noise = service_noise(rng, len(at))
    ours = our_waits(at, 3.0, noise, 4, product)
    theirs = ciw_waits(at, 3.0 * (1 + product) * noise, 4)
    assert theirs.max() > 3.0
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)
