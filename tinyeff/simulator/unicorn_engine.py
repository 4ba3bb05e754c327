# SPDX-License-Identifier: MIT
"""The engine for every core without MVE: Unicorn, in a worker process.

Unicorn is licensed under the GPL, so that it is optional and stays outside: this module starts
`unicorn_worker.py` as a program and talks to it over pipes.
"""

from __future__ import annotations

import io
import subprocess
import sys
from array import array
from pathlib import Path
from typing import Any

from tinyeff.errors import InternalError, MissingProgramError, UnsupportedError
from tinyeff.simulator import unicorn_worker
from tinyeff.simulator.elf import HOW_TO_GET, Program
from tinyeff.simulator.engine import Accesses, Engine, Interval, Job, Run
from tinyeff.simulator.instructions import divisions

CORES = tuple(unicorn_worker.MODELS)


class UnicornEngine(Engine):
    """Runs jobs in Unicorn; counts blocks, divisions, loads and stores."""

    name = "unicorn"
    can_trace = True

    def run(self, job: Job) -> Run:
        """Run the job; InternalError where the program faults, with function and line."""
        if job.cpu not in CORES:
            raise UnsupportedError(f"unicorn has no {job.cpu}; it knows {', '.join(CORES)}")
        header, blobs = _exchange(_header(job), _blobs(job), job.timeout_seconds)
        if "missing" in header:
            raise MissingProgramError("the emulator needs the Python package unicorn: "
                                      f"{HOW_TO_GET}")
        if "fault" in header:
            raise InternalError(describe_fault(job.program, **header["fault"]))
        return _run_of(job, header, blobs)


def _header(job: Job) -> dict[str, Any]:
    program = job.program
    counted = job.count != "nothing"
    return {
        "cpu": job.cpu,
        "regions": [[r.name, r.origin, r.size_bytes]
                    for r in (job.memory.flash, *job.memory.writable)],
        "write": [[s.address, len(s.data)] for s in program.segments]
        + [[address, len(data)] for address, data in job.fill],
        "read": list(job.read),
        "vectors": program.symbol("te_emulator_vectors").address,
        "finished": program.symbol("te_emulator_finished").address,
        "watched": list(job.watched),
        "count": job.count,
        "layer_functions": list(job.layer_functions),
        "layer_keys": list(job.layer_keys),
        "divisions": divisions(program) if counted else [],
        "data_cache": job.data_cache,
        "trace": job.trace,
    }


def _blobs(job: Job) -> list[bytes]:
    return [s.data for s in job.program.segments] + [data for _, data in job.fill]


def _exchange(
    header: dict[str, Any], blobs: list[bytes], timeout_seconds: float
) -> tuple[dict[str, Any], list[bytes]]:
    question = io.BytesIO()
    unicorn_worker.send(question, header, blobs)
    # -P: the worker's folder holds modules that are called like some of Python's own.
    command = [sys.executable, "-P", str(Path(unicorn_worker.__file__))]
    try:
        done = subprocess.run(command, input=question.getvalue(), capture_output=True, check=False,
                              timeout=timeout_seconds)
    except subprocess.TimeoutExpired:
        raise InternalError(f"the emulated program was still running after {timeout_seconds:.0f} "
                            "seconds; it may never end") from None
    if done.returncode != 0:
        raise InternalError("the emulator's worker process ended with "
                            f"{done.returncode}:\n{done.stderr.decode(errors='replace').strip()}")
    return unicorn_worker.receive(io.BytesIO(done.stdout))


def _run_of(job: Job, header: dict[str, Any], blobs: list[bytes]) -> Run:
    memory, trace, edges = blobs[: len(job.read)], blobs[len(job.read)], blobs[len(job.read) + 1 :]
    intervals = []
    for entry, data in zip(header["intervals"], edges, strict=True):
        flat = array("Q", data)
        intervals.append(Interval(
            key=entry["key"],
            edges={(flat[i], flat[i + 1]): flat[i + 2] for i in range(0, len(flat), 3)},
            divisions={(address, bits): n for address, bits, n in entry["divisions"]},
            flash_misses=entry["flash_misses"],
        ))
    return Run(
        memory=tuple(memory), intervals=tuple(intervals), block_bytes=dict(header["sizes"]),
        accesses={name: Accesses(*counts) for name, counts in header["accesses"].items()},
        unaligned=tuple((pc, address) for pc, address in header["unaligned"]), trace=trace,
    )


def describe_fault(
    program: Program, what: str, pc: int, address: int | None, size: int = 0
) -> str:
    """The sentence a user sees when the emulated program faults."""
    where = "" if address is None else f" at 0x{address:08x}" + (f" ({size} bytes)" if size else "")
    return (f"the emulated program stopped in {program.place(pc)}: {what}{where}. "
            "Generated code must never do this: please report it with the model")
