from pipeline.memory import memory


def test_memory_that_is_taken_is_seen_and_stays_the_peak():
    before = memory()
    taken = bytearray(64 * 2**20)
    taken[::4096] = b"x" * len(taken[::4096])  # touch every page
    held = memory()
    assert held.now - before.now > 48 * 2**20
    del taken
    after = memory()
    assert after.peak > held.now - 2**20  # the system adds up pages now and then
    assert after.now < held.now
