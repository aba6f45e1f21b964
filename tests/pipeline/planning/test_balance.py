from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from pipeline.planning.balance import balance, fill, largest

COSTS = st.lists(st.floats(0.01, 10), min_size=1, max_size=3)


def slowest(sizes, costs):
    return max(cost / sizes[name] for name, cost in costs.items())


@given(
    costs=COSTS, shares=st.lists(st.floats(0.5, 3), min_size=3, max_size=3), cpus=st.floats(0, 9)
)
def test_no_other_sizes_that_fit_are_faster(costs, shares, cpus):
    costs = {str(index): cost for index, cost in enumerate(costs)}
    shares = dict(zip(costs, shares, strict=False))
    room = cpus + sum(shares.values())

    def fits(sizes):
        return sum(shares[name] * size for name, size in sizes.items()) <= room

    found = balance(dict.fromkeys(costs, 1), costs, fits)
    assert fits(found)
    most = [range(1, 2 + int(cpus / share)) for share in shares.values()]
    others = (dict(zip(costs, sizes, strict=True)) for sizes in product(*most))
    assert slowest(found, costs) == min(slowest(sizes, costs) for sizes in others if fits(sizes))


def test_a_cheap_stage_stays_small_where_the_slow_one_can_grow_no_more():
    def fits(sizes):
        return sizes["slow"] <= 4 and sizes["cheap"] <= 1000

    found = balance({"cheap": 1, "slow": 1}, {"cheap": 0.1, "slow": 1.0}, fits)
    assert found == {"cheap": 1, "slow": 4}


def test_stages_that_cost_nothing_stay_as_they_are():
    assert balance({"a": 1}, {"a": 0.0}, lambda sizes: True) == {"a": 1}


def test_unknown_costs_fill_evenly_and_go_on_with_whoever_still_fits():
    def fits(sizes):
        return sizes["on cards"] <= 2 and sum(sizes.values()) <= 9

    found = fill({"on cards": 1, "on cores": 1, "": 1}, ["on cards", "on cores"], fits)
    assert found == {"on cards": 2, "on cores": 6, "": 1}


@given(limit=st.integers(0, 10_000))
def test_the_largest_number_is_found_in_few_looks(limit):
    looks = []
    assert largest(lambda n: looks.append(n) or n <= limit) == limit
    assert len(looks) <= 2 * limit.bit_length() + 2
