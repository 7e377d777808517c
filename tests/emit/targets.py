"""Processors that the tests emulate: how to compile for each, and how to run what was compiled.

Those with an operating system go through qemu's user mode.  A Cortex-M has none: newlib's semihosting opens files through
the emulator, and START is what it reads at reset.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from c_tools import MATH, files, need, run
from cross import named, size_words, source

START = r"""
#include <stdint.h>

extern void _start(void);
extern unsigned char stack_top[];
void reset(void);
void reset(void)
{
#if defined(__ARM_FP) && (__ARM_FP & 4)
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20; /* access to the floating-point unit */
    __asm__ volatile("dsb\n\tisb");
#endif
    _start();
}
static void stop(void) { for (;;) { } }
__attribute__((section(".vectors"), used)) static void (*const vectors[16])(void) = {
    (void (*)(void))stack_top, reset, stop, stop
};
"""


@dataclass(frozen=True)
class Target:
    """A processor; `board`: what qemu-system-arm calls its machine, with options, empty where there is an operating system."""

    compiler: str
    emulator: str
    flags: tuple[str, ...] = ()
    root: str = ""
    board: tuple[str, ...] = ()


M4F = ("-mthumb", "-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard")
TARGETS = {
    "aarch64": Target("aarch64-linux-gnu-gcc", "qemu-aarch64", root="/usr/aarch64-linux-gnu"),
    "arm": Target("arm-linux-gnueabihf-gcc", "qemu-arm", root="/usr/arm-linux-gnueabihf"),
    "riscv64": Target("riscv64-linux-gnu-gcc", "qemu-riscv64", root="/usr/riscv64-linux-gnu"),
    "s390x": Target("s390x-linux-gnu-gcc", "qemu-s390x", root="/usr/s390x-linux-gnu"),
    "i386": Target("i686-linux-gnu-gcc", "qemu-i386", root="/usr/i686-linux-gnu"),
    "i386-sse2": Target("i686-linux-gnu-gcc", "qemu-i386", ("-msse2", "-mfpmath=sse"), root="/usr/i686-linux-gnu"),
    # The board has a Cortex-M0, which has the instructions of the M0+; 16 KiB of memory would not do for C's library.
    "m0plus": Target(
        "arm-none-eabi-gcc",
        "qemu-system-arm",
        ("-mthumb", "-mcpu=cortex-m0plus"),
        board=("microbit", "-global", "nrf51-soc.sram-size=1048576"),
    ),
    "m3": Target("arm-none-eabi-gcc", "qemu-system-arm", ("-mthumb", "-mcpu=cortex-m3"), board=("mps2-an385",)),
    "m4f": Target("arm-none-eabi-gcc", "qemu-system-arm", M4F, board=("mps2-an386",)),
}


def tools(name: str) -> Target:
    """The target, or the test is skipped: its compiler, emulator or C library is not installed."""
    target = TARGETS[name]
    need(target.emulator)
    if not runs(need(target.compiler), target):
        pytest.skip(f"{target.compiler} has no C library here")
    return target


@cache
def runs(compiler: str, target: Target) -> bool:
    """Whether there is a C library to include and to link."""
    more = ["--specs=rdimon.specs"] if target.board else []
    text = b'#include <stdio.h>\n#include <math.h>\nint main(void) { return puts("") + (int)sqrtf(4.0f); }\n'
    command = [compiler, *target.flags, *more, "-x", "c", "-", "-o", "/dev/null", "-lm"]
    return subprocess.run(command, input=text, capture_output=True, check=False).returncode == 0


def linked(target: Target, work: Path, objects: list[Path], made: Path) -> Path:
    """The program of some objects."""
    if not target.board:
        run(target.compiler, *target.flags, *objects, "-o", made, "-lm")
        return made
    (work / "start.c").write_text(START)
    place = ["-Wl,--section-start=.vectors=0", "-Wl,--defsym=stack_top=0x20020000"]
    if target.board[0] == "microbit":  # its first memory is flash
        place.append("-Wl,-Tdata=0x20000000")
    run(
        target.compiler,
        *target.flags,
        "-Os",
        "--specs=rdimon.specs",
        *place,
        work / "start.c",
        *objects,
        "-o",
        made,
        "-lm",
    )
    return made


def compiled(target: Target, work: Path, sources: dict[str, str], made: str, *flags: str) -> Path:
    """Compile some texts (headers included) and link those that end in .c."""
    work.mkdir(parents=True, exist_ok=True)
    objects = []
    for name, text in sources.items():
        (work / name).write_text(text)
    for name in sources:
        if name.endswith(".c"):
            objects.append((work / name).with_suffix(".o"))
            run(need(target.compiler), "-std=c99", *MATH, *target.flags, *flags, "-c", work / name, "-o", objects[-1])
    return linked(target, work, objects, work / made)


def program(target: Target, cell: str, real, work: Path, *flags: str) -> Path:
    """The program of cross.py for one cell and scalar type."""
    sources = {n: files(cell)[n] for n in (f"{cell}.h", f"{cell}_{real.tag}.c")}
    how = ["-DFILES"] if target.board else []
    return compiled(target, work, {**sources, "main.c": source(cell, real)}, f"{cell}_{real.tag}", "-O1", *how, *flags)


def command(target: Target, made: Path, *words: str) -> list[str]:
    """How to run a program with arguments."""
    if not target.board:
        before = [target.emulator, "-L", target.root] if target.emulator else []
        return [*before, str(made), *words]
    given = ",".join(["enable=on,target=native", *(f"arg={w}" for w in ("program", *words))])
    quiet = ["-nographic", "-monitor", "none", "-serial", "none"]
    return [target.emulator, "-M", *target.board, *quiet, "-semihosting-config", given, "-kernel", str(made)]


def executed(target: Target, made: Path, cell: str, real, sizes: dict[str, int], given: dict[str, np.ndarray]):
    """The results of infer, forward and loss_and_grad by name; arrays go in the byte order of the target."""
    order = ">" if "s390x" in target.compiler else "<"
    data = b"".join(a.astype(a.dtype.newbyteorder(order)).tobytes() for a in given.values())
    words = command(target, made, *size_words(cell, sizes))
    if target.board:
        (made.parent / "given").write_bytes(data)
    done = subprocess.run(words, input=b"" if target.board else data, capture_output=True, check=False, cwd=made.parent)
    assert done.returncode == 0, f"{' '.join(words)}: exit {done.returncode}\n{done.stderr.decode()}"
    found = (made.parent / "found").read_bytes() if target.board else done.stdout
    numbers = np.frombuffer(found, np.dtype(real.dtype).newbyteorder(order)).astype(real.dtype)
    return named(cell, numbers, sizes)


def host() -> Target:
    """This processor."""
    return Target(shutil.which("gcc") or "cc", "")
