import pytest

from benchmarks.timing import Candidate, Spread, interleave


def test_candidates_are_interleaved_after_a_warm_up():
    calls = []

    def make_candidate(name, seconds):
        def run(number):
            calls.append((number, name))
            return seconds[number]

        return Candidate("pipeline", {"phase": "init", "fit": name}, run)

    a, b = make_candidate("a", [9.0, 1.0, 2.0]), make_candidate("b", [9.0, 3.0, 4.0])
    saved = []
    interleave([a, b], 2, lambda: saved.append((len(a.seconds), len(b.seconds))))
    assert calls == [(number, name) for number in (0, 1, 2) for name in "ab"]
    assert (a.seconds, b.seconds) == ([1.0, 2.0], [3.0, 4.0])
    assert saved == [(1, 0), (1, 1), (2, 1), (2, 2)]


def test_spread():
    assert str(Spread.of([0.012345, 1234.5, 56.78])) == "56.8 (0.0123 .. 1234)"
    unequal = Spread.of_ratios([4.0, 6.0, 8.0], [2.0, 2.0])
    assert (unequal.median, unequal.low, unequal.high) == (pytest.approx(2.5), 2, 3)
