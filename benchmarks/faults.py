"""Run the benchmarks of faults: lost work, error messages, memory growth and scheduling.

It runs, one after the other: kills of searches at many moments, calls with arbitrary arguments,
many searches in one process, and the scheduling of many jobs.

    python benchmarks/faults.py            # about an hour on two cores
    python benchmarks/faults.py --quick    # a few minutes
"""

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
# Script -> its options, and its options for a quick run.
PARTS = {
    "kills.py": ([], ["--size", "small"]),
    "fuzz.py": (["--calls", "10000"], ["--calls", "1000"]),
    "memory_growth.py": (["--searches", "500"], ["--searches", "50"]),
    "sweep_overhead.py": ([], ["--size", "small"]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="smaller numbers of everything")
    quick = parser.parse_args().quick
    failed = []
    for script, (full, small) in PARTS.items():
        print(f"\n{script}", flush=True)
        command = [sys.executable, HERE / script, *(small if quick else full)]
        if subprocess.run(command).returncode:
            failed.append(script)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
