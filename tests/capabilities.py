"""`./run check capabilities`: the tests of "bit for bit", with the kernels of CPUs that have less than this.

torch chooses its kernels by what the CPU has, and so do the libraries of matrix products beneath it. An
environment variable makes each choose what an older CPU would get. What this does not show: on CPUs that are
not Intel's MKL goes other ways, whatever is chosen, and an Arm machine has other kernels and another library.
There `./run test` shows what holds, as it does here for the CPU's own capability.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = ("tests/models/test_lanes.py", "tests/models/test_stacks.py", "tests/models/test_random_stacks.py")
SECONDS = 300
"""Far more than one of them takes."""

LESSER: dict[str, dict[str, str]] = {
    "AVX2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
    },
    "DEFAULT": {
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
    },
}
"""What torch calls a capability, and what brings it about. Only x86 has several that are chosen among."""
ABOVE = {"AVX512": ["AVX2", "DEFAULT"], "AVX2": ["DEFAULT"]}
QUESTION = "import torch; print(torch.backends.cpu.get_cpu_capability())"


def capability(variables: dict[str, str]) -> str:
    """What torch says that it has under these variables."""
    asked = [sys.executable, "-c", QUESTION]
    own = {**os.environ, **variables}
    return subprocess.run(asked, env=own, capture_output=True, text=True, check=True).stdout.strip()


def begun(name: str) -> subprocess.Popen[str]:
    """The tests on their way under a lesser capability."""
    command = [sys.executable, "-m", "pytest", "-n", "0", *TESTS]
    own = {**os.environ, **LESSER[name]}
    return subprocess.Popen(
        command, cwd=ROOT, env=own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def has_passed(name: str, process: subprocess.Popen[str]) -> bool:
    """What came of it, told; `False` too where torch did not take what it was told to."""
    try:
        output, _ = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        output = process.communicate()[0] + f"{name}: killed after {SECONDS} s\n"
    seen = capability(LESSER[name])
    chosen = " ".join(f"{key}={value}" for key, value in LESSER[name].items())
    print(f"\n{name}, by {chosen}; torch says {seen}\n{output}", flush=True)
    return process.returncode == 0 and seen == name


def main() -> int:
    own, began = capability({}), time.monotonic()
    others = ABOVE.get(own, [])
    lesser = ", ".join(others) or "none"
    print(f"This CPU's own capability is {own}: `./run test` looks at it. Lesser ones: {lesser}.", flush=True)
    running = {name: begun(name) for name in others}  # side by side, each on one thread
    passed = [has_passed(name, process) for name, process in running.items()]
    print(f"{sum(passed)} of {len(passed)} passed in {time.monotonic() - began:.0f} s.")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
