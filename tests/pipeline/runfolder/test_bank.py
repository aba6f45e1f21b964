"""The bank on disk: entries in order, failures by chain, features read when they are asked for."""

import pickle
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ipseg.errors import PromptError
from ipseg.rows import failed
from pipeline.prompts import STORED
from pipeline.runfolder import bank as stored
from pipeline.runfolder.bank import (
    ENTRIES,
    GROUP_ROWS,
    StoredBank,
    bank_folder,
    bank_rows,
    write_entries,
)
from pipeline.runfolder.parts import part_files
from pipeline.runfolder.sink import Provenance, ShardWriter

BY = Provenance("run-1", "ipseg/classical", "0" * 64, ())
MEGABYTE = np.ones(250_000, np.float32)


def prompt(key, *values, shard="s", chains=("",), errors=()):
    """A described prompt; `values` are what each chain keeps of it."""
    return {
        **{"key": key, "shard": shard, "uri": f"{key}.jpg", "width": 4, "height": 3},
        **{"concept": key, "image_sha256": "0" * 64, "thumbnail": b"jpeg"},
        "prompts": [
            {
                **{"chain": chain, "mask": None, "mask_source": "mask", "warning": None},
                "features": {"v": np.asarray(value, np.float32)},
            }
            for chain, value in zip(chains, values, strict=True)
        ],
        "chain_errors": [
            {"chain": c, "error_stage": "s", "error_type": "T", "error_message": why}
            for c, why in errors
        ],
    }


def put(folder, prompts, concepts):
    ShardWriter(str(folder), BY, STORED, GROUP_ROWS).write(prompts)
    write_entries(str(folder), concepts)


def total(shots):
    return {"v": sum(shot["v"] * (n + 1) for n, shot in enumerate(shots))}


def opened(folder, chain="", **more):
    return StoredBank(str(folder), chain, total, **more)


def test_entries_stand_in_the_order_of_names_whatever_shard_their_prompts_are_in(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(stored, "_AT_ONCE", 2)
    names = ["e", "b", "a", "d", "c"]
    put(
        tmp_path,
        [prompt(name, ord(name), shard=f"s{n % 2}") for n, name in enumerate(names)],
        {name: [name] for name in names},
    )
    bank = opened(tmp_path)
    assert bank.categories == {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}
    assert [bank.features(name)["v"] for name in "edcba"] == [ord(name) for name in "edcba"]
    assert [e.concept for e in bank.asked({})] == list("abcde")
    asks = [{"concept": name} for name in ("d", "a", "d")]
    assert [(e.concept, e.category_id) for e in bank.asked({"asks": asks})] == [("d", 4), ("a", 1)]
    assert bank.asked({"asks": []}) == []
    with pytest.raises(PromptError, match="no entry 'z'"):
        bank.asked({"asks": [{"concept": "z"}]})


def test_several_prompts_are_merged_in_the_order_that_is_given(tmp_path):
    prompts = [prompt("1", 1.0), prompt("2", 10.0)]
    put(tmp_path, prompts, {"there": ["1", "2"], "back": ["2", "1"], "one": ["2"]})
    bank = opened(tmp_path)
    assert bank.features("there")["v"] == 1.0 + 2 * 10.0
    assert bank.features("back")["v"] == 10.0 + 2 * 1.0
    assert bank.features("one")["v"] == 10.0


def test_a_prompt_that_failed_in_one_chain_is_lost_to_that_chain_alone(tmp_path):
    half = prompt("half", 7.0, chains=("1",), errors=[("0", "no mask")])
    lost = failed({"key": "lost", "shard": "s", "uri": "lost.jpg"}, "read", OSError("gone"))
    put(
        tmp_path,
        [half, lost, prompt("good", 1.0, 2.0, chains=("0", "1"))],
        {name: [name] for name in ("half", "lost", "good")} | {"both": ["good", "half"]},
    )
    zero, one = opened(tmp_path, "0"), opened(tmp_path, "1")
    assert zero.failure("half") == zero.failure("both") == "half.jpg cannot be used: no mask"
    assert one.failure("half") is one.failure("both") is None
    assert one.features("both")["v"] == 2.0 + 2 * 7.0
    assert zero.failure("lost") == one.failure("lost") == "lost.jpg cannot be used: gone"
    assert [e.concept for e in zero.asked({})] == ["good"]
    assert [e.concept for e in one.asked({})] == ["both", "good", "half"]
    assert zero.categories == one.categories, "numbers do not depend on what has failed"
    with pytest.raises(PromptError, match=r"prompt half\.jpg cannot be used: no mask"):
        zero.features("half")


def test_each_prompt_is_a_row_group_of_its_own(tmp_path):
    put(tmp_path, [prompt(name, 1.0) for name in "abcd"], {name: [name] for name in "abcd"})
    (part,) = part_files(str(tmp_path))
    assert pq.read_metadata(part).num_row_groups == 4


def test_features_are_read_when_they_are_asked_for_and_forgotten_when_there_are_too_many(tmp_path):
    # Parts of their own, so that each can be taken away.
    put(tmp_path, [prompt(n, MEGABYTE, shard=n) for n in "abc"], {name: [name] for name in "abc"})
    bank = opened(tmp_path, cache_mb=2.5)
    first = bank.features("a")
    bank.features("b")
    assert bank.features("a") is first, "held, and used last"
    bank.features("c")
    for part in part_files(str(tmp_path)):
        Path(part).unlink()
    assert bank.features("a") is first
    assert bank.features("c")["v"].nbytes == MEGABYTE.nbytes
    with pytest.raises(FileNotFoundError):
        bank.features("b")


def test_a_worker_gets_the_address_and_not_what_was_read(tmp_path):
    put(tmp_path, [prompt("a", MEGABYTE)], {"a": ["a"]})
    bank = opened(tmp_path)
    bank.features("a")
    sent = pickle.dumps(bank)
    assert len(sent) < 1000
    other = pickle.loads(sent)  # noqa: S301
    assert other == bank
    assert other.features("a")["v"].size == MEGABYTE.size
    assert other.identity != opened(tmp_path, "1").identity


def test_a_bank_that_was_made_anew_is_read_anew(tmp_path):
    put(tmp_path, [prompt("a", 1.0)], {"a": ["a"]})
    assert opened(tmp_path).features("a")["v"] == 1.0
    put(tmp_path, [prompt("a", 5.0)], {"a": ["a"]})
    assert opened(tmp_path).features("a")["v"] == 5.0


def test_lists_of_prompts_come_without_features(tmp_path):
    put(tmp_path, [prompt("a", MEGABYTE)], {"a": ["a"]})
    (row,) = bank_rows(str(tmp_path))
    (kept,) = row["prompts"]
    assert (row["concept"], row["thumbnail"], kept["mask_source"]) == ("a", b"jpeg", "mask")
    assert "features" not in kept


def test_a_bank_is_found_by_its_own_folder_and_by_that_of_its_run(tmp_path):
    folder = tmp_path / "data/shard=odd" / "run" / "bank"  # whatever the folders are called
    put(folder, [prompt("a", 3.0)], {"a": ["a"]})
    assert bank_folder(f"{folder.parent}/") == bank_folder(str(folder)) == str(folder)
    assert opened(folder).features("a")["v"] == 3.0


def test_what_is_no_bank_is_named(tmp_path):
    with pytest.raises(PromptError, match=f"cannot read the bank at {tmp_path}: .*{ENTRIES}"):
        assert opened(tmp_path).categories
    (tmp_path / ENTRIES).write_bytes(b"PAR1")
    with pytest.raises(PromptError, match="cannot read the bank"):
        assert opened(tmp_path).categories
