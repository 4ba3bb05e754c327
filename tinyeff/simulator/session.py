# SPDX-License-Identifier: MIT
"""A linked program, run over painted memory: what it computed and which bytes it touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tinyeff.emitter.naming import arena_parameters
from tinyeff.errors import InternalError
from tinyeff.ir import Array
from tinyeff.simulator.elf import Program, Symbol
from tinyeff.simulator.engine import Engine, Job, Run
from tinyeff.simulator.harness import GUARD_BYTES, ModelInterface, Place, functions_of

PAINT = 0xA5
"""What memory holds before a run, unless another pattern is asked for."""


@dataclass(frozen=True, eq=False)
class Pass:
    """One run: `touched` has one flag per byte of the arena that no longer holds the paint, one
    part behind the other. `exit` is the number of the early exit that was taken, or 0."""

    run: Run = field(repr=False)
    outputs: tuple[bytes, ...] = field(repr=False)
    touched: Array = field(repr=False)
    stack_bytes: int
    exit: int


class Session:
    """One program with its inputs; every run starts from reset."""

    def __init__(
        self, program: Program, interface: ModelInterface, engine: Engine, place: Place,
        inputs: Sequence[bytes],
    ) -> None:
        self.program, self.interface, self.engine = program, interface, engine
        self.place, self.inputs = place, inputs
        names = arena_parameters([r.name for r in interface.regions])
        self.arenas = [program.symbol(f"te_emulator_{name}") for name in names]
        self.guards = [program.symbol(f"te_emulator_{name}_{end}")
                       for name in names for end in ("low", "high")]
        self.outputs = [program.symbol(f"te_emulator_output_{n}")
                        for n in range(len(interface.output_bytes))]
        self.stack = program.symbol("te_emulator_stack_bottom").address
        self.layer_names = self._layer_names()

    def _layer_names(self) -> dict[int, tuple[str, ...]]:
        """Address of the parameters -> the layers that use them; the compiler may fold equals."""
        names: dict[int, tuple[str, ...]] = {}
        for name, _ in self.interface.steps:
            if self.program.has(f"{name}_params"):
                address = self.program.symbol(f"{name}_params").address
                names[address] = (*names.get(address, ()), name)
        return names

    def run(
        self, paint: int, count: str, layers: bool = False,
        data_cache: tuple[int, int] | None = None, trace: bool = False,
    ) -> Pass:
        """Run over memory filled with `paint`; see `Job` for `count` and `data_cache`.

        With `trace`, which takes a program built for it, what it shows is kept.
        """
        painted = [*self.guards, *self.arenas, *self.outputs]
        ranges = [(s.address, s.size_bytes) for s in painted]
        ranges.append((self.stack, self.place.memory.stack_bytes))
        fill = [(address, bytes([paint]) * size) for address, size in ranges]
        fill += [(self.program.symbol(f"te_emulator_input_{n}").address, data)
                 for n, data in enumerate(self.inputs)]
        record = self.program.symbol("te_emulator_result")
        job = Job(
            self.program, self.place.cpu.name, self.place.memory, tuple(fill),
            read=((record.address, record.size_bytes), *ranges),
            watched=tuple(self.program.symbol(f).address for f in functions_of(self.interface)),
            watched_calls=self.interface.stream_rows + 2 if self.interface.stream_rows else 1,
            count=count,
            layer_functions=kernel_entries(self.program) if layers else (),
            layer_keys=tuple(self.layer_names) if layers else (),
            data_cache=data_cache,
            trace=self.program.symbol(f"{self.interface.name}_trace").address if trace else None,
        )
        return self._checked(self.engine.run(job), paint)

    def _checked(self, run: Run, paint: int) -> Pass:
        record = np.frombuffer(run.memory[0], "<u4")
        *painted, stack = run.memory[1:]
        count = len(self.arenas)
        guards, arenas, outputs = (painted[:2 * count], painted[2 * count:3 * count],
                                   painted[3 * count:])
        status, pointer = int(record[0].view(np.int32)), int(record[1])
        if status < 0:
            raise InternalError(f"{self.interface.name}_run returned {status} "
                                f"in the emulated {self.place.cpu.name}")
        for n, arena in enumerate(self.arenas):
            self._check_guards(arena, guards[2 * n], guards[2 * n + 1], paint)
        used = np.flatnonzero(np.frombuffer(stack, np.uint8) != paint)
        if used.size and used[0] == 0:
            raise InternalError(f"{self.interface.name} needs more than the {len(stack)} bytes of "
                                f"stack that the program on {self.place.memory.name} has")
        depth = pointer - (self.stack + int(used[0])) if used.size else 0
        touched = np.frombuffer(b"".join(arenas), np.uint8) != paint
        return Pass(run, tuple(outputs), touched, max(0, depth), status)

    def _check_guards(self, arena: Symbol, low: bytes, high: bytes, paint: int) -> None:
        for where, guard in (("below", low), ("above", high)):
            hits = [i for i, byte in enumerate(guard) if byte != paint]
            if hits:
                far = GUARD_BYTES - hits[0] if where == "below" else hits[-1] + 1
                raise InternalError(
                    f"{self.interface.name} writes outside its arena of {arena.size_bytes} "
                    f"bytes: up to {far} bytes {where} it. Generated code must never do this: "
                    "please report it with the model")


def kernel_entries(program: Program) -> tuple[int, ...]:
    """Functions of the kernels: their first argument names the layer."""
    return tuple(
        f.address for f in program.functions
        if not f.name.startswith("te_emulator") and (f.source or f.name).startswith("te_")
    )
