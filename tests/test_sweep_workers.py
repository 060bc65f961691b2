"""Jobs on workers: a worker that dies, a driver that dies, and what is left then."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from sweep_jobs import FAILS, JOBS, shown

from dpodiff.sweeps import WorkerDied, outcomes

DRIVER = Path(__file__).with_name("sweep_jobs.py")
UNDISTURBED = [
    [[n], None, "ValueError: 9 has no square here"]
    if n == FAILS
    else [[n], {"square": n * n}, None]
    for (n,) in JOBS
]


@pytest.fixture(scope="module")
def cluster():
    """A Ray of two workers on this machine, which this process is connected to; its address."""
    ray = pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        context = ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield context.address_info["address"]
        ray.shutdown()


def drive(folder, *where):
    """A driver of its own; its exit code, and what it says of all jobs if it comes to its end."""
    command = [sys.executable, DRIVER, folder, *where]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return done.returncode, done.stderr
    return 0, json.loads(done.stdout.splitlines()[-1])  # Ray may have printed something before


def check_that_nothing_is_lost(folder, *where):
    """A sweep whose worker and driver are killed ends like one that is not disturbed."""
    code, _ = drive(folder, *where)
    assert code == -signal.SIGKILL
    (log,) = (folder / "run").glob("jobs-*.jsonl")
    lines = [json.loads(line) for line in log.read_text().splitlines()[1:]]
    done = [line["job"][0] for line in lines if line["error"] is None]
    before = begun(folder)
    assert drive(folder, *where) == (0, UNDISTURBED)
    assert (folder / "worker.ended").exists()
    assert len(done) > 1
    assert [begun(folder)[number] for number in done] == [before[number] for number in done]


def begun(folder):
    """How often each job was begun."""
    return Counter(map(int, (folder / "begun.txt").read_text().split()))


def test_processes_that_are_killed_lose_nothing(tmp_path):
    check_that_nothing_is_lost(tmp_path, "processes")


def test_a_ray_worker_and_a_driver_that_are_killed_lose_nothing(tmp_path, cluster):
    check_that_nothing_is_lost(tmp_path, "ray", cluster)


def test_a_ray_that_is_there_is_used_and_stays(cluster):
    import ray

    jobs = [(7, 2), (7, 0), (9, 4)]  # of three workers one has no room at first
    found = outcomes(divmod, jobs, on="ray", workers=3, retries=0)
    by_job = {outcome.job: outcome for outcome in found}
    assert [by_job[job].value for job in [(7, 2), (9, 4)]] == [(3, 1), (2, 1)]
    assert isinstance(by_job[7, 0].error, ZeroDivisionError)
    with pytest.raises(ValueError, match="no machine of this Ray has gpus=1000 for a worker"):
        next(outcomes(divmod, [(7, 2)], on="ray", gpus=1000))
    assert ray.is_initialized()


def test_a_job_that_always_ends_its_worker_fails_alone():
    jobs = [(0,), (signal.SIGKILL,)]
    found = outcomes(signal.raise_signal, jobs, on="processes", workers=1)
    harmless, died = sorted(found, key=lambda outcome: outcome.job)
    assert harmless.error is None
    assert isinstance(died.error, WorkerDied) and "by signal SIGKILL" in str(died.error)
    assert died.attempts == 2


def test_what_cannot_be_sent_back_fails_its_job_alone():
    found = outcomes(shown, [("error",), ("value",), ("",)], on="processes", workers=1, retries=0)
    error, value, plain = (outcome for outcome in found)
    assert str(error.error) == "Stubborn: seen at (1, 2)"
    assert "cannot be sent back" in str(value.error)
    assert plain.value == "plain"


def test_what_cannot_be_sent_to_a_process_is_refused():
    with pytest.raises(ValueError, match="cannot be sent to other processes.*top of a module"):
        list(outcomes(lambda: 1, [()], on="processes"))


def test_a_script_without_its_guard_is_told_of_it(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from dpodiff.sweeps import outcomes\nlist(outcomes(divmod, [(7, 2)], on='processes'))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert done.returncode == 1
    assert "needs `if __name__ == '__main__':` around the call" in done.stderr.splitlines()[-1]
