# SPDX-License-Identifier: MIT
"""A complete program for a board: start-up code, linker script and build files around a model."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from tinyeff import resources
from tinyeff.device.boards import Board
from tinyeff.device.layout import STACK_BYTES, Layout, layout_for
from tinyeff.device.link.sources import link_sources
from tinyeff.emitter import MANIFEST, Manifest, Sources, naming, read_manifest
from tinyeff.emitter.sources import render, sha256
from tinyeff.targets import COMPILER_LEVELS, cpu_named

COMMON = ("te_board.h", "te_family.h", "te_start.c", "te_board.c", "te_uart.c")
"""Files of firmware/families/ that every board takes."""

RESET_REASONS = ("pin", "power", "software", "watchdog", "window_watchdog", "low_power",
                 "brown_out")
EXCEPTIONS = {1: "te_reset", 2: "NMI_Handler", 3: "HardFault_Handler", 4: "MemManage_Handler",
              5: "BusFault_Handler", 6: "UsageFault_Handler", 11: "SVC_Handler",
              12: "DebugMon_Handler", 14: "PendSV_Handler", 15: "SysTick_Handler"}
ARMV6_EXCEPTIONS = (1, 2, 3, 11, 14, 15)


def board_program(sources: Sources, board: Board, flatbuffer: bytes) -> dict[str, str]:
    """The files of a program for `board` that a host can talk to over the serial link.

    `sources` are those of the model, which `flatbuffer` holds. Raises DoesNotFitError where the
    memories of the board are too small.
    """
    return firmware_sources(sources, board, lambda files, layout: link_sources(
        files, flatbuffer, board.name, layout.keeps_input))


def model_part(sources: Sources) -> Sources:
    """The model in `sources`: without what is the board's, where they are a program for one."""
    own = json.loads(sources[MANIFEST]).get("board", {}).get("files", ())
    return {path: text for path, text in sources.items() if path not in own}


def board_layout(board: Board, manifest: Manifest) -> Layout:
    """Where the image of a generated model would lie; DoesNotFitError where it does not fit."""
    return layout_for(
        board, manifest.regions, manifest.arena_align,
        sum(t.size_bytes for t in manifest.inputs), sum(t.size_bytes for t in manifest.outputs),
        manifest.input_memory != "excluded")


Application = Callable[[Sources, Layout], Mapping[str, str]]
"""What runs on a board: its files, from all others and the layout of memory."""


def firmware_sources(sources: Sources, board: Board, application: Application) -> dict[str, str]:
    """The files of a program for `board`: the model of `sources`, the board's own, `application`.

    The build files are the program's; the manifest names the board and hashes every file. Raises
    DoesNotFitError where the memories of the board are too small.
    """
    manifest = read_manifest(sources[MANIFEST], MANIFEST)
    layout = board_layout(board, manifest)
    example, replaced = f"{manifest.name}_example.c", ("Makefile", "CMakeLists.txt", MANIFEST)
    model = {p: t for p, t in sources.items() if p not in (example, *replaced)}
    files = {**model, **board_files(board, layout)}
    files.update(application({**files, MANIFEST: sources[MANIFEST]}, layout))
    view = _build_view(board, manifest, layout, [p for p in model if p.endswith(".c")],
                       [p for p in files if p.endswith(".c")])
    files["Makefile"] = render("board_Makefile.j2", view)
    files["CMakeLists.txt"] = render("board_CMakeLists.txt.j2", view)
    files["CMakePresets.json"] = render("CMakePresets.json.j2", view)
    files["toolchain.cmake"] = render("toolchain.cmake.j2", view)
    raw: dict[str, Any] = json.loads(sources[MANIFEST])
    raw["board"] = {**board_entry(board, layout),
                    "files": sorted(set(files) - set(model))}
    raw["files"] = {name: sha256(text) for name, text in files.items()}
    files[MANIFEST] = naming.pretty_json(raw)
    return files


def board_entry(board: Board, layout: Layout) -> dict[str, Any]:
    """What the manifest says of the board."""
    return {
        "name": board.name, "title": board.title, "chip": board.chip.name, "probe": board.probe,
        "core_hz": board.core_hz, "openocd": board.family.openocd,
        "flash": {"origin": board.flash_origin, "size_bytes": board.flash_bytes},
        "arena": ", ".join(ram.name for _, ram in layout.arenas),
        "console": {"uart": board.console.uart.name, "tx": board.console.tx,
                    "rx": board.console.rx, "baud": board.console.baud},
    }


def board_files(board: Board, layout: Layout) -> dict[str, str]:
    """Start-up code, clocks, console, vectors and linker script of a board."""
    folder = resources.folder("firmware")
    files = {name: (folder / "families" / name).read_text(encoding="utf-8") for name in COMMON}
    clock = folder / "families" / board.family.clock_code / "te_clock.c"
    files["te_clock.c"] = clock.read_text(encoding="utf-8")
    files["te_memory.c"] = (folder / "emulator" / "memory.c").read_text(encoding="utf-8")
    files["te_board_config.h"] = render("te_board_config.h.j2", _config_view(board))
    files["te_vectors.c"] = render("te_vectors.c.j2", _vectors_view(board))
    files["te_board.ld"] = render("te_board.ld.j2", _linker_view(board, layout))
    return dict(sorted(files.items()))


def _config_view(board: Board) -> SimpleNamespace:
    family, clocks, console = board.family, board.clocks, board.console
    rcc = family.addresses["rcc"]
    addresses = [(f"TE_{name.upper()}", address) for name, address in family.addresses.items()]
    addresses += [(f"TE_{name.upper()}", rcc + offset) for name, offset in family.rcc.items()]
    pll = clocks.external or clocks.internal
    origin = {"crystal": "a crystal", "bypass": "an external clock", "none": "HSI"}[board.external]
    return SimpleNamespace(
        title=board.title, chip=board.chip.name.upper(), addresses=addresses,
        defines=family.defines.items(), core_hz=clocks.core_hz, reset_hz=family.clock.reset_hz,
        internal_hz=family.clock.internal_hz, internal=clocks.internal, external=clocks.external,
        external_bypass=int(board.external == "bypass"),
        clock_text=f"{origin} of {pll.source_hz} Hz / {pll.m} * {pll.n} / {pll.output}",
        wait_states=clocks.wait_states, ahb_divider=family.clock.ahb_divider,
        apb1_divider=family.clock.apb1_divider, apb2_divider=family.clock.apb2_divider,
        smps=int(board.supply == "smps"), core_caches=int(board.cpu == "cortex-m7"),
        wait_loops=family.clock.internal_hz // 80, uart_kind=family.uart_kind, console=console,
        console_text=f"{console.uart.name.upper()}, TX {console.tx}, RX {console.rx}",
        console_bus={"apb1": 1, "apb2": 2}[console.uart.bus],
        console_low_power=int(console.uart.name.startswith("lpuart")),
        console_tx=_pin(board, console.tx, "tx"), console_rx=_pin(board, console.rx, "rx"),
        reset_clear=family.reset["clear"],
        reset_bits=[(f"TE_BOARD_RESET_{name.upper()}", family.reset[name])
                    for name in RESET_REASONS if name in family.reset],
    )


def _pin(board: Board, pin: str, signal: str) -> str:
    function = board.chip.signals[pin, board.console.uart.name, signal]
    return f"{ord(pin[1]) - ord('A')}u, {int(pin[2:])}u, {function}u"


def _vectors_view(board: Board) -> SimpleNamespace:
    small = board.cpu == "cortex-m0plus"
    known = {n: h for n, h in EXCEPTIONS.items() if not small or n in ARMV6_EXCEPTIONS}
    entries = [SimpleNamespace(name=known.get(n, "te_default_handler"), what=f"exception {n}")
               for n in range(1, 16)]
    interrupts = board.chip.interrupts
    for number in range(max(interrupts) + 1):
        name = re.sub(r"\W", "_", interrupts.get(number, ""))
        entries.append(SimpleNamespace(
            name=f"{name}_IRQHandler" if name else "te_default_handler",
            what=f"interrupt {number}"))
    handlers = [n for n in dict.fromkeys(e.name for e in entries)
                if n not in ("te_reset", "te_default_handler")]
    return SimpleNamespace(chip=board.chip.name.upper(), entries=entries, handlers=handlers)


def _linker_view(board: Board, layout: Layout) -> SimpleNamespace:
    rams = [SimpleNamespace(region="RAM" if n == 0 else f"RAM{n + 1}", origin=r.origin,
                            size_bytes=r.size_bytes, parts=r.parts, ram=r)
            for n, r in enumerate(board.rams)]
    regions = {r.ram: r.region for r in rams}
    sections = naming.arena_parameters([name for name, _ in layout.arenas])
    return SimpleNamespace(
        title=board.title, chip=board.chip.name.upper(), rams=rams, stack_bytes=STACK_BYTES,
        flash=SimpleNamespace(origin=board.flash_origin, size_bytes=board.flash_bytes),
        arena_align=layout.arena_align,
        arenas=[SimpleNamespace(section=section, region=regions[ram])
                for section, (_, ram) in zip(sections, layout.arenas, strict=True)],
    )


def _build_view(
    board: Board, manifest: Manifest, layout: Layout, model: list[str], files: list[str]
) -> SimpleNamespace:
    objects, model_objects = ([p.removesuffix(".c") for p in paths] for paths in (files, model))
    sizes = ", ".join(f"{r.size_bytes} bytes of SRAM" for r in board.rams)
    return SimpleNamespace(
        name=manifest.name, title=board.title,
        gcc_flags=" ".join(cpu_named(board.cpu).gcc_flags),
        compiler_level=COMPILER_LEVELS[manifest.target.optimize],
        objects=objects, model_objects=model_objects,
        firmware_objects=[o for o in objects if o not in model_objects],
        overflow=f"tinyeff: where the linker says that a region overflows, the image does not fit "
                 f"{board.title} ({board.flash_bytes} bytes of flash, {sizes}): "
                 "generate it with a smaller --sram or --flash, or for a larger board",
    )
