"""What runs jobs at the same time: joblib's own processes, or a cluster that joblib knows."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import UsageError

LOKY = "loky"
CLUSTERS = {
    "dask": ("distributed", 'pip install "dask[distributed]"', "DASK_SCHEDULER_ADDRESS"),
    "ray": ("ray", "pip install ray", "RAY_ADDRESS"),
}
"""Backend: (module, how to install it, the variable that names a running cluster; without it, one is begun here)."""
REFUSED = {"multiprocessing": "it waits for ever for a process that was killed"}

WORKER_BYTES = 640 << 20
"""Of a process with torch, Transformers and the traces of a model. Measured: 596 MiB at most, over the catalogue."""


def check_backend(name: str) -> None:
    """UsageError where there is no such backend here, saying what to install."""
    from joblib.parallel import BACKENDS

    if name in REFUSED:
        raise UsageError(f"Backend {name!r} is not used: {REFUSED[name]}. Try loky, which is the default.")
    if name in CLUSTERS:
        module, install, _ = CLUSTERS[name]
        if find_spec(module) is None:
            raise UsageError(f"Backend {name!r} needs {module}, which is not installed. Try `{install}`, or loky.")
    elif name not in BACKENDS:
        known = sorted({*BACKENDS, *CLUSTERS} - {*REFUSED})
        raise UsageError(f"Unknown backend {name!r}; expected one of {', '.join(known)}, or one registered in joblib.")


@contextmanager
def running(name: str, workers: int, **settings: Any) -> Iterator[None]:
    """joblib's default is `name` inside: a cluster is joined, or begun with `workers` processes."""
    from joblib import parallel_config

    with ExitStack() as stack:
        if name == "dask":
            stack.enter_context(_dask(workers))
        elif name == "ray":
            _ray(workers)
        stack.enter_context(parallel_config(backend=name, **settings))
        yield


def joins_cluster(name: str) -> bool:
    """Whether jobs go to a cluster that is running already, which decides how many it works on at once."""
    return name in CLUSTERS and bool(os.environ.get(CLUSTERS[name][2]))


def _dask(workers: int) -> Any:
    from distributed import Client  # type: ignore[import-not-found]

    if joins_cluster("dask"):
        return Client()
    return Client(n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None)


def _ray(workers: int) -> None:
    import ray  # type: ignore[import-not-found]
    from ray.util.joblib import register_ray  # type: ignore[import-not-found]

    if not ray.is_initialized():
        ray.init(**({} if joins_cluster("ray") else {"num_cpus": workers}), log_to_driver=False)
    register_ray()


def default_workers() -> int:
    """As many as there are cores, and as memory holds."""
    from joblib import cpu_count

    return max(1, min(int(cpu_count()), _free_bytes() // WORKER_BYTES))


def _free_bytes() -> int:
    """Memory that may still be taken, of the machine and of the container."""
    found = [free for free in (_of_machine(), _of_container()) if free is not None]
    return min(found, default=WORKER_BYTES)


def _of_machine() -> int | None:
    try:
        told = re.search(r"^MemAvailable:\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
        if told:
            return int(told[1]) << 10
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return None


def _of_container() -> int | None:
    """What a control group of version 2 leaves; None where it sets no limit."""
    try:
        limit, used = (Path(f"/sys/fs/cgroup/memory.{name}").read_text().strip() for name in ("max", "current"))
        return None if limit == "max" else max(0, int(limit) - int(used))
    except (OSError, ValueError):
        return None
