"""The short form of `make fuzz`: the same trials, fewer of them, in this process."""

import pytest
from inputs import CORPUS
from reading import KINDS, read, run_trial


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_damaged_is_read(kind, tmp_path):
    for name, data in CORPUS[kind]().items():
        outcome = read(kind, data, name, tmp_path)
        partly = kind == "parquet" or name == "joined"  # with a null image, with a repeated key
        assert outcome in (("read", "read in part") if partly else ("read",)), name


@pytest.mark.filterwarnings("ignore")  # decoders warn of damage
@pytest.mark.parametrize("kind", KINDS)
def test_damage_gives_rows_or_a_refusal(kind, tmp_path):
    outcomes = {run_trial(kind, seed, tmp_path) for seed in range(100)}
    assert {"refused", "read"} <= outcomes
