# SPDX-License-Identifier: Apache-2.0
"""The program as a process: its progress shown, its errors Python's, Ctrl-C passed on."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import threading
from typing import Any, Callable, List, Optional, Sequence

from ._program import environment, program


class DataError(OSError, ValueError):
    """A file that is missing, damaged or does not fit (exit code 3 of the program): what within one process
    is an OSError or a ValueError."""


_ERRORS = {2: ValueError, 3: DataError, 4: ArithmeticError}
STOPPED = 130  # exit code of a run that was interrupted and saved


def call(
    arguments: Sequence[str],
    *,
    quiet: bool = True,
    watch: Optional[Callable[[], Any]] = None,
    may_stop: bool = False,
) -> str:
    """Standard output of `detente ARGUMENTS`. What it says on the other stream goes to sys.stderr unless
    `quiet`. `watch` is called ten times a second, in this thread; when it returns something true the program
    is stopped as by Ctrl-C. A second Ctrl-C ends the program at once.

    Raises, by exit code: 2 ValueError, 3 DataError, 4 ArithmeticError, 130 KeyboardInterrupt (not where
    `may_stop` and `watch` wanted it), others RuntimeError, with the program's words."""
    command = [program(), *arguments]
    lines: List[str] = []
    stopped = False
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        # In a session of its own, so that a terminal's Ctrl-C comes to it once, from here.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            env=environment(),
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        reader = threading.Thread(target=_read, args=(process.stderr, lines, quiet), daemon=True)
        reader.start()
        try:
            while True:
                try:
                    process.wait(0.1)
                except subprocess.TimeoutExpired:
                    pass
                if watch is not None and watch() and not stopped:
                    stopped = True
                    process.send_signal(signal.SIGINT)
                if process.returncode is not None:
                    break
        except BaseException as error:
            _end(process, at_once=not isinstance(error, (Exception, KeyboardInterrupt)))
            if isinstance(error, KeyboardInterrupt) and "".join(lines).strip():
                raise KeyboardInterrupt("".join(lines).strip().splitlines()[-1]) from None
            raise
        finally:
            reader.join(5)
        output.seek(0)
        text = output.read()
    code = process.returncode
    if code == 0 or (code == STOPPED and stopped and may_stop):
        return text
    words = _message(lines) or f"detente {arguments[0]} ended with code {code}"
    if code == STOPPED:
        raise KeyboardInterrupt(words)
    raise _ERRORS.get(code, RuntimeError)(words)


def _read(stream: Any, lines: List[str], quiet: bool) -> None:
    for line in stream:
        lines.append(line)
        del lines[:-200]
        if not quiet:
            sys.stderr.write(line)
            sys.stderr.flush()
    stream.close()


def _end(process: "subprocess.Popen[str]", at_once: bool) -> None:
    """Lets the program save what it has; a second Ctrl-C does not wait for that."""
    if process.poll() is None:
        process.send_signal(signal.SIGKILL if at_once else signal.SIGINT)
    try:
        process.wait()
    except KeyboardInterrupt:
        process.kill()
        process.wait()


def _message(lines: Sequence[str]) -> str:
    """From the program's "error: ..." on."""
    for i in range(len(lines) - 1, -1, -1):
        if lines[i].startswith("error: "):
            return "".join(lines[i:])[len("error: ") :].strip()
    return "".join(lines).strip()
