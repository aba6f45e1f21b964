from jobs.pages.readable import readable_bytes, readable_duration, readable_time


def test_readable_units():
    assert [readable_bytes(n) for n in (0, 999, 14_400, 3e6, 5e12)] == [
        *("0 B", "999 B", "14.4 kB", "3.0 MB", "5000.0 GB")
    ]
    assert [readable_duration(n) for n in (0.25, 59.94, 60, 125, 7322)] == [
        *("0.2 s", "59.9 s", "1 min 00 s", "2 min 05 s", "2 h 02 min")
    ]
    assert readable_time("2026-01-01T00:02:05+00:00") == "1 January 2026, 00:02:05 UTC"
    assert readable_time(None) == "–"
