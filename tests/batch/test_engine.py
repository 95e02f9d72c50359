"""What happens to tasks whose processes are killed, crash or hang, and to the others."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ipu_partition.batch import Engine
from ipu_partition.batch.backends import WORKER_BYTES, default_workers
from ipu_partition.batch.engine import Lost
from ipu_partition.errors import UsageError


def answers(engine: Engine, work: Callable[[Any], Any], tasks: list[Any]) -> dict[int, Any]:
    with closing(engine.run(work, tasks)) as found:
        return dict(found)


def worker() -> Callable[[Any], Any]:
    """A function of no module, so that it travels by value."""

    def work(task: tuple[str, Any]) -> Any:
        import os
        import signal
        import time

        what, value = task
        if what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "die once" and not os.path.exists(value):
            open(value, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "sleep":
            time.sleep(value)
        return os.getpid() if what == "pid" else value

    return work


def alive(pid: int) -> bool:
    """Whether it runs: what nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def gone(pids: list[int]) -> bool:
    end = time.monotonic() + 10
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    return not any(map(alive, pids))


@pytest.mark.parametrize("engine", [Engine(workers=1), Engine(workers=2), Engine("threading", 2), Engine("sequential")])
def test_every_task_has_one_answer(engine: Engine) -> None:
    assert answers(engine, worker(), [("value", n * n) for n in range(7)]) == {n: n * n for n in range(7)}


def test_no_task() -> None:
    assert answers(Engine(workers=2), worker(), []) == {}


@pytest.mark.parametrize("workers", [1, 2])
def test_processes_are_gone_afterwards(workers: int) -> None:
    found = answers(Engine(workers=workers), worker(), [("pid", None)] * 3)
    assert os.getpid() not in found.values()
    assert gone(list(found.values()))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_process_costs_its_task_alone(workers: int) -> None:
    tasks = [("value", 0), ("sleep", 0.2), ("die", None), ("value", 3), ("die", None), ("value", 5)]
    found = answers(Engine(workers=workers), worker(), tasks)
    assert {n: value for n, value in found.items() if n not in (2, 4)} == {0: 0, 1: 0.2, 3: 3, 5: 5}
    for n in (2, 4):
        assert isinstance(found[n], Lost)
        assert not found[n].timed_out
        assert "SIGKILL" in found[n].reason


def test_who_was_killed_by_chance_gets_another_try(tmp_path: Path) -> None:
    """With two processes it is not known which task it was, and lack of memory may be the neighbour's doing."""
    found = answers(Engine(workers=2), worker(), [("die once", str(tmp_path / "died")), ("value", 1)])
    assert found == {0: str(tmp_path / "died"), 1: 1}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_that_hangs_is_given_up(workers: int) -> None:
    begun = time.monotonic()
    found = answers(Engine(workers=workers, timeout_s=1.5), worker(), [("sleep", 60), ("value", 1), ("value", 2)])
    assert time.monotonic() - begun < 30
    assert (found[1], found[2]) == (1, 2)
    assert isinstance(found[0], Lost)
    assert found[0].timed_out
    assert "longer than 1.5 s" in found[0].reason


@pytest.mark.parametrize("workers", [1, 2])
def test_closing_early_ends_the_processes(workers: int) -> None:
    with closing(Engine(workers=workers).run(worker(), [("pid", None), *[("sleep", 60)] * 5])) as found:
        _, pid = next(found)
    assert gone([pid])


def test_the_default_is_bounded_by_cores_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joblib.cpu_count", lambda: 8)
    for free, expected in ((WORKER_BYTES * 3, 3), (WORKER_BYTES * 100, 8), (0, 1)):
        monkeypatch.setattr("ipu_partition.batch.backends._free_bytes", lambda free=free: free)
        assert default_workers() == expected


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"backend": "nowhere"}, "Unknown backend 'nowhere'; expected one of dask, loky, ray"),
        ({"backend": "multiprocessing"}, "'multiprocessing' is not used"),
        ({"workers": 0}, "0 jobs"),
        ({"timeout_s": 0.0}, "expected a number above 0"),
        ({"timeout_s": float("nan")}, "expected a number above 0"),
        ({"backend": "threading", "timeout_s": 1.0}, "Only loky's processes can be stopped in time"),
    ],
)
def test_engines_that_cannot_be(given: dict[str, Any], found: str) -> None:
    with pytest.raises(UsageError, match=found):
        Engine(**given)


@pytest.mark.parametrize(
    ("backend", "install"), [("dask", r'pip install "dask\[distributed\]"'), ("ray", "pip install ray")]
)
def test_a_cluster_that_is_not_installed(backend: str, install: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ipu_partition.batch.backends.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=f"not installed. Try `{install}`"):
        Engine(backend)


def test_a_backend_that_somebody_registered() -> None:
    from joblib import register_parallel_backend
    from joblib.parallel import BACKENDS, ThreadingBackend

    class Own(ThreadingBackend):
        pass

    register_parallel_backend("own", Own)
    try:
        assert answers(Engine("own", 2), worker(), [("value", 1), ("value", 2)]) == {0: 1, 1: 2}
    finally:
        del BACKENDS["own"]


@pytest.fixture
def raylike(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """A module `ray` whose backend is one of joblib's processes, as Ray's is; what its `init` was told."""
    from joblib import register_parallel_backend
    from joblib._parallel_backends import MultiprocessingBackend
    from joblib.parallel import BACKENDS

    class RayBackend(MultiprocessingBackend):  # type: ignore[misc]
        pass

    begun: list[dict[str, Any]] = []
    ray, util, own = ModuleType("ray"), ModuleType("ray.util"), ModuleType("ray.util.joblib")
    ray.is_initialized = lambda: bool(begun)  # type: ignore[attr-defined]
    ray.init = lambda **settings: begun.append(settings)  # type: ignore[attr-defined]
    own.register_ray = lambda: register_parallel_backend("ray", RayBackend)  # type: ignore[attr-defined]
    for module in (ray, util, own):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr("ipu_partition.batch.backends.find_spec", lambda _: ray)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    yield begun
    BACKENDS.pop("ray", None)


def test_ray_is_registered_and_gives_lists(raylike: list[dict[str, Any]], tmp_path: Path) -> None:
    """Of as many answers as run at once: there is progress, and what is finished is kept."""
    files = [tmp_path / str(n) for n in range(5)]
    with closing(Engine("ray", 2).run(Path.touch, files)) as found:
        first = next(found)
        there = [file.exists() for file in files]
        rest = list(found)
    assert there == [True, True, False, False, False]
    assert [first, *rest] == [(n, None) for n in range(5)]
    assert all(file.exists() for file in files)
    assert raylike == [{"num_cpus": 2, "log_to_driver": False}]


def lost_once(file: Path) -> int:
    if not file.exists():
        file.touch()
        raise ConnectionError("the machine went away")
    return os.getpid()


def test_what_ray_loses_is_asked_once_more_in_another_process(raylike: object, tmp_path: Path) -> None:
    found = answers(Engine("ray", 2), lost_once, [tmp_path / str(n) for n in range(3)])
    assert sorted(found) == [0, 1, 2]
    assert all(isinstance(pid, int) and pid != os.getpid() for pid in found.values())


def test_a_backend_that_loses_tasks_is_asked_once_more() -> None:
    """As a cluster does whose machine goes away; what is lost twice is one answer."""
    from joblib import register_parallel_backend
    from joblib.parallel import BACKENDS, ThreadingBackend

    def work(task: str) -> str:
        if task == "lost":
            raise ConnectionError("the machine went\naway")
        return task

    class Own(ThreadingBackend):
        pass

    register_parallel_backend("own", Own)
    try:
        found = answers(Engine("own", 2), work, ["a", "lost", "b", "c"])
    finally:
        del BACKENDS["own"]
    assert {n: found[n] for n in (0, 2, 3)} == {0: "a", 2: "b", 3: "c"}
    assert found[1] == Lost(False, "Backend 'own' lost it: the machine went away")
