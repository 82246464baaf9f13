# SPDX-License-Identifier: GPL-2.0
"""Functions for every tool: the folder of the cache, failures in one line, and progress."""

import argparse
import contextlib
import errno
import fcntl
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

PROJECT = pathlib.Path(__file__).resolve().parent.parent
# The kernel that the patches are for.
VERSION = "7.3"


class Failure(Exception):
    """An error that the user can fix, shown as the lines given."""


def cache():
    """Return the folder outside the checkout for everything that can be downloaded or built again."""
    default = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    return pathlib.Path(os.environ.get("NONBLOCK_CACHE") or default / "nonblock").absolute()


def environment():
    """Return the environment of every program we start.

    The environment of the caller must not change a build. For example, it may have the MAKEFLAGS of the make that
    called us, a KCFLAGS or ARCH, or another toolchain in PATH.
    """
    env = {
        "PATH": "/usr/lib/llvm-19/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C.UTF-8",
        "CCACHE_DIR": str(cache() / "ccache"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return env | {name: os.environ[name] for name in ("HOME", "TERM", "TMPDIR") if name in os.environ}


def output(command, **kwargs):
    """Run a command and return the completed process, with stdout and stderr together as text."""
    return subprocess.run([str(word) for word in command], env=environment(), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **kwargs)


@contextlib.contextmanager
def locked(folder):
    """Hold `folder` for this process: two runs at once would write the same files."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "lock", "a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                print(f"waiting for another run (pid {lock.read().strip() or '?'}) that uses {folder} ...", flush=True)
                fcntl.flock(lock, fcntl.LOCK_EX)
            if not is_open(lock, folder / "lock"):
                continue    # the other run was `make clean`
            lock.seek(0)
            lock.truncate()
            print(os.getpid(), file=lock, flush=True)
            yield
            return


def is_open(file, path):
    """Return whether `path` is still the file that is open as `file`."""
    return path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat())


class Progress:
    """The progress of a long step: one line that changes on a terminal, a line every 30 s in a log.

    If the step takes longer than LONG seconds, its command is shown, so it can be run by hand.
    """
    LONG = 5

    def __init__(self, label, command=()):
        self.label = label
        self.command = command
        self.start = self.shown = time.monotonic()

    def elapsed(self):
        seconds = int(time.monotonic() - self.start)
        return f"{seconds // 60}:{seconds % 60:02}"

    def update(self, text):
        line = f"{self.label}: {text}, {self.elapsed()}"
        if self.command and time.monotonic() - self.start >= self.LONG:
            self.done()
            print(f"$ {shlex.join(map(str, self.command))}", flush=True)
            self.command = ()
        if sys.stdout.isatty():
            print(f"\r\033[K{line}", end="", flush=True)
        elif time.monotonic() - self.shown >= 30:
            self.shown = time.monotonic()
            print(line, flush=True)

    def done(self, text=None):
        """End the line, and print `text` if there is one."""
        if sys.stdout.isatty():
            print("\r\033[K", end="", flush=True)
        if text:
            print(f"{self.label}: {text}, {self.elapsed()}", flush=True)


def arguments(description):
    """Return a parser of the command line, to which a program adds its own words."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="KSRC=/path/to/linux in the environment uses that kernel source instead.\n"
               "NONBLOCK_CACHE=/path/to/folder is the folder for everything downloaded or built.")


def main(run, parser, failed=1):
    """Call `run` with the words of the command line, and turn a failure into one line and the exit code `failed`."""
    words = vars(parser.parse_args())
    signals = signal.SIGINT, signal.SIGTERM, signal.SIGHUP

    def interrupt(*_):
        # Once is enough: Ctrl-C comes from the terminal, and again from the make that called us.
        for number in signals:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in signals:
        signal.signal(number, interrupt)
    try:
        sys.exit(run(**words))
    except Failure as failure:
        message, code = f"error: {failure}", failed
    except KeyboardInterrupt:
        message, code = "interrupted; the same command continues from here", 130
    except OSError as error:
        message, code = f"error: {error}", failed
        if error.errno == errno.ENOSPC:
            message = f"error: no space left in {cache()}: free some space, or set NONBLOCK_CACHE to another folder"
    sys.stdout.flush()
    print(message, file=sys.stderr)
    sys.exit(code)
