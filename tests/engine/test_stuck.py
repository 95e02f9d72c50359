"""Who holds a run up, by what the ranks say of themselves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ipu_partition.engine.beats import Beat, State, read
from ipu_partition.engine.failures import Told, cause
from ipu_partition.engine.stuck import Limits, stuck

NOW = 1000.0
BUSY = State(1, "computing micro-batch 2 forwards", 3, True, NOW - 1, NOW, 0.5, 2)
IDLE = replace(BUSY, doing="waiting for other stages", working=False)


def late(state: State, seconds: float) -> State:
    return replace(state, since_s=NOW - seconds)


def test_nobody_is() -> None:
    assert stuck([BUSY, IDLE, IDLE], 0.0, NOW, Limits()) is None


def test_the_one_that_works_is_named_and_not_those_that_wait_for_it() -> None:
    found = stuck([late(IDLE, 90), late(BUSY, 21), late(IDLE, 90)], 0.0, NOW, Limits())
    assert found == "rank 1 (stage 1) has not finished step 3 for 21 s: it was computing micro-batch 2 forwards"


def test_slow_stages_have_time_in_proportion() -> None:
    slow = replace(BUSY, longest_s=10.0)
    assert stuck([late(BUSY, 49), slow], 0.0, NOW, Limits()) is None
    assert "rank 0" in str(stuck([late(BUSY, 51), slow], 0.0, NOW, Limits()))
    assert "rank 0" in str(stuck([late(BUSY, 9), slow], 0.0, NOW, Limits(8.0)))


def test_the_first_step_has_more_time() -> None:
    first = replace(late(BUSY, 90), step=1, finished=0)
    assert stuck([first], 0.0, NOW, Limits(None, 100.0)) is None
    assert "step 1" in str(stuck([late(first, 101)], 0.0, NOW, Limits(None, 100.0)))
    assert "step 1" in str(stuck([first], 0.0, NOW, Limits(80.0, 100.0)))
    assert "step 1" in str(stuck([late(first, 21)], 0.0, NOW, Limits()))
    assert "step 3" in str(stuck([late(BUSY, 90)], 0.0, NOW, Limits(None, 100.0)))


def test_starting_has_more_time_than_the_user_gives_a_step() -> None:
    loading = replace(late(BUSY, 50), step=0, finished=0, doing="loading its stage")
    assert stuck([loading, None], NOW - 50, NOW, Limits(2.0)) is None
    found = stuck([late(loading, 61), None], NOW - 70, NOW, Limits(2.0))
    assert found == "rank 1 (stage 1) has not started for 70 s"
    assert "finished starting" in str(stuck([late(loading, 61)], NOW - 70, NOW, Limits(2.0)))


def test_no_sign_of_life() -> None:
    frozen = replace(IDLE, beat_s=NOW - 21)
    assert "rank 1 (stage 1)" in str(stuck([BUSY, frozen], 0.0, NOW, Limits()))
    assert "no sign of life" in str(stuck([BUSY, frozen], 0.0, NOW, Limits()))


def test_all_wait_for_each_other() -> None:
    found = str(stuck([late(IDLE, 30), replace(late(IDLE, 25), step=2)], 0.0, NOW, Limits()))
    assert "rank 1 (stage 1) has not finished step 2 for 25 s: every stage waits" in found
    assert stuck([late(IDLE, 30), late(IDLE, 10)], 0.0, NOW, Limits()) is None


def test_a_rank_tells_what_it_is_at(tmp_path: Path) -> None:
    import os

    file = tmp_path / "state-0.json"
    assert read(file) is None
    beat = Beat(file, os.getppid())
    beat.at("computing", working=True, step=2)
    beat.at("waiting", working=False)
    beat.finish(2)
    found = read(file)
    beat.close()
    assert found is not None
    assert (found.doing, found.step, found.working, found.finished) == ("waiting", 2, False, 2)
    assert found.longest_s > 0
    assert found.pid == os.getpid()


OWN = Told(2, "ValueError: wrong", 4, True, 20.0)
PEER = Told(1, "RuntimeError: Connection closed by peer", 4, False, 10.0)


@pytest.mark.parametrize(
    ("errors", "codes", "said"),
    [
        ([PEER, OWN], {1: 1, 2: 1}, "rank 2 (stage 2) failed in step 4: ValueError: wrong"),
        ([PEER], {1: 1, 0: -9}, "rank 0 (stage 0) was killed by signal 9 (SIGKILL), perhaps for lack of memory"),
        ([PEER], {1: 1, 0: -11}, "rank 0 (stage 0) was ended by signal 11 (SIGSEGV)."),
        ([], {0: -15, 1: -9}, "rank 1 (stage 1) was killed by signal 9 (SIGKILL)"),  # torchrun ended the other
        ([OWN], {0: -15}, "rank 2 (stage 2) failed in step 4"),
        ([PEER], {1: 1}, "rank 1 (stage 1) failed in step 4: RuntimeError: Connection closed by peer"),
        ([Told(0, "OSError: no", 0, True, 1.0)], {}, "rank 0 (stage 0) failed while it started: OSError: no"),
        ([], {}, "torchrun ended before the stages did: the last line"),
    ],
)
def test_the_first_of_all_errors(errors: list[Told], codes: dict[int, int], said: str) -> None:
    assert said in cause(errors, codes, "one\nthe last line\n\n")
