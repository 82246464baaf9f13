# SPDX-License-Identifier: GPL-2.0
"""Put anybody's driver before the OOM reaper, and everything else that takes memory away from a device.

DRIVER is a folder: a Kbuild with modules in C or Rust, and use.c or use.sh, which makes the device use memory of its own
process. If there is no such folder, a small driver to begin with is written there. See tests/reap/README.md.
"""

import dataclasses
import glob
import hashlib
import json
import pathlib
import re
import shutil

import build as kernel
import frames
import guest
import log
import table
from common import Failure, PROJECT, arguments, main
from guest import text_of
from initramfs import compile_program, initramfs, with_libraries
from tree import prepared

EXAMPLES = PROJECT / "tests/reap"
TEMPLATE = EXAMPLES / "template"
# The driver in the template is there in both.
LANGUAGES = {"rust": ".rs", "c": ".c"}
# With less, a node of a guest with KASAN has no free pages for a migration, and huge pages of 32 MiB do not fit.
MEMORY = "512M"
# How many seconds a situation on a quick machine may go on without news.
LIMIT = 120

# In these only the reaper calls the driver, and has to get the memory.
REAPER = ["oom", "memcg", "mrelease", "mrelease-stopped", "mrelease-traced", "mrelease-frozen",
          "mrelease-uninterruptible"]


@dataclasses.dataclass
class Driver:
    """What is put before the reaper: the modules by their name, and the files that the guest is to have.

    `binutils` is as for frames.place().
    """
    name: str
    modules: dict
    files: dict
    binutils: str = ""


@dataclasses.dataclass
class Row:
    """What a driver did in one situation. `numbers` are the words of the guest's line about it."""
    situation: str
    numbers: dict
    problems: list
    reports: list

    def number(self, key):
        return int(self.numbers.get(key, 0))

    def missing(self):
        """Why the situation cannot be with this kernel or program, or None."""
        return self.numbers.get("missing")

    def failures(self):
        """What is wrong, each in a few words."""
        found = list(self.problems)
        if "asked" in self.numbers and not self.missing():
            found += self.wrong()
        for place in dict.fromkeys(place or report.splitlines()[0] for report, place in self.reports):
            found.append(f"report: {place}")
        return found

    def wrong(self):
        numbers = self.numbers
        if numbers.get("back") == "no":
            yield f"{int(numbers['left_kb']) // 1024 or 1} MiB not back"
        if numbers.get("back") == "kept":
            yield "the device keeps pages it let go"
        if self.situation in REAPER and not self.number("asked"):
            yield "the driver is not asked"
        if self.number("refused") > self.number("asked"):
            yield "refuses what may block"
        if self.number("stale"):
            yield "stale data"
        if numbers.get("exits") == "no":
            yield "the process does not exit"
        if "users_left" in numbers and numbers["users_left"] != "no":
            module, users = numbers["users_left"].split(":")
            yield f"{module} stays in use ({users})"
        if "wrong" in numbers:
            yield numbers["wrong"].replace(",", ", ").replace("_", " ")

    def result(self):
        if self.missing():
            return self.missing()
        failures = self.failures()
        if failures:
            return "FAILED: " + ", ".join(failures)
        if self.numbers.get("idle") == "yes":
            return "ok, but the kernel took nothing"
        if self.numbers.get("ended") == "yes":
            return "ok, but the program ended"
        return "ok" + ", unloaded" * (self.numbers.get("unloaded") == "yes")

    def cells(self):
        """The columns of the table."""
        if "asked" not in self.numbers:
            return [self.situation, *"-" * 6, self.result()]
        asked, refused = self.number("asked"), self.number("refused")
        back = {"yes": f"{self.number('ms') / 1000:.2f} s", "no": "no", "kept": "no"}.get(self.numbers.get("back"), "-")
        data = next((f"{self.number(word)} {word}" for word in ("stale", "gone") if self.number(word)),
                    "same" if self.number("same") else "-")
        return [self.situation, str(asked), str(max(0, asked - refused)), str(refused),
                f"{self.number('longest_us')} us" if asked else "-", back, data, self.result()]

    def record(self):
        """The row as it is in the JSON."""
        return {"situation": self.situation, "result": "skipped" if self.missing() else
                "failed" if self.failures() else "passed", "why": self.result(), "numbers": self.numbers,
                "reports": [{"place": place, "text": report} for report, place in self.reports]}


def folder_of(driver):
    """The folder that DRIVER means, or None for one that is still to be written."""
    path = pathlib.Path(driver)
    if path.is_dir():
        return path.absolute()
    if path.exists():
        raise Failure(f"DRIVER={driver} is a file: name the folder that it is in")
    if driver in examples():
        return EXAMPLES / driver
    return None


def examples():
    """The folders in tests/reap that are drivers as they are."""
    return sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir() and path != TEMPLATE)


def write_template(driver, language):
    """Write a driver to begin with."""
    other = {f"my_driver{suffix}" for name, suffix in LANGUAGES.items() if name != language}
    shutil.copytree(TEMPLATE, driver, ignore=lambda *_: other)
    files = ", ".join(sorted(path.name for path in pathlib.Path(driver).iterdir()))
    print(f"There was no {driver}. Now there is a small driver to begin with: {files}.\n"
          "The same command again puts it before the OOM reaper.")


def check_folder(folder, obj):
    """Refuse a folder in which something is missing; the name of its module in the tree, if it is there."""
    if re.search(r"[\s:]", str(folder)):
        raise Failure(f"make cannot work in {folder}, for the space or colon in its name: move it")
    programs = [name for name in ("use.c", "use.sh") if (folder / name).exists()]
    if not programs:
        raise Failure(f"{folder} has no use.c or use.sh: write one that makes the device use memory of its process, "
                      f"as {(TEMPLATE / 'use.c').relative_to(PROJECT)} does")
    if (folder / "Kbuild").exists() or (folder / "load.sh").exists():
        return None
    if folder.name not in in_tree(obj):
        raise Failure(f"{folder} has no module: write a Kbuild with `obj-m += NAME.o` for NAME.c or NAME.rs, "
                      f"or a load.sh that loads one of the kernel's (it has no {folder.name})")
    return folder.name


def in_tree(obj):
    """The modules that were built with the kernel, by name."""
    return {pathlib.Path(path).stem: obj / pathlib.Path(path).with_suffix(".ko")
            for path in (obj / "modules.order").read_text().split()}


def build_modules(tree, config, folder, out):
    """Build the modules in `folder`, and return them by name, in the order to load them in."""
    out.mkdir(parents=True, exist_ok=True)
    # Nothing is written into the folder.
    command = kernel.make(tree, config, f"M={folder}", f"MO={out}", "KCFLAGS=-gline-tables-only", "modules")
    text = out / "build.log"
    if kernel.run_make(tree, config, text, command):
        explained = kernel.explain(text.read_text(errors="replace"))
        raise Failure(f"{folder} does not build against the kernel: mend this\n{explained}\nlog: {text}")
    order = out / "modules.order"
    names = [pathlib.Path(line).stem for line in order.read_text().split()] if order.exists() else []
    modules = {name: next(out.rglob(f"{name}.ko"), None) for name in names}
    if not modules or None in modules.values():
        raise Failure(f"{folder}/Kbuild names no module: add `obj-m += NAME.o` for NAME.c or NAME.rs")
    return modules


def prepare(tree, config, obj, folder, params):
    """Build the driver and the program of a folder."""
    out = tree.root / "reap" / f"{folder.name}-{hashlib.sha256(bytes(folder)).hexdigest()[:8]}-{config}"
    arch = kernel.CONFIGS[config].arch
    name = check_folder(folder, obj)
    modules = in_tree(obj)
    own = {name: modules[name]} if name else {}
    if (folder / "Kbuild").exists():
        own = build_modules(tree, config, folder, out)
    out.mkdir(parents=True, exist_ok=True)
    files = {f"/driver/{file.name}": file for file in own.values()}
    for text, content in (("modules", "\n".join(own)), ("params", params)):
        (out / text).write_text(content + "\n")
        files[f"/driver/{text}"] = out / text
    # They may need one another, and load.sh may name one of the kernel's.
    files |= {f"/driver/{path.name}": path for path in sorted(folder.iterdir())
              if path.is_file() and path.suffix in (".sh", ".bin")}
    files |= needed(folder, arch)
    if (folder / "use.c").exists():
        flags = ["-D_GNU_SOURCE", "-I", EXAMPLES, "-I", folder, "-I", tree.src / "samples/rust", "-I", tree.src]
        files["/driver/use"] = compile_program(tree, arch, out, "use", [folder / "use.c"], flags)
    return Driver(folder.name, modules | own, files, guest.ARCHITECTURES[arch].binutils)


def needed(folder, arch):
    """The files of this machine that the scripts in a folder name (`# needs: PATTERN...`), with their libraries."""
    files = {}
    for script in sorted(folder.glob("*.sh")):
        for pattern in " ".join(re.findall(r"^# needs: (.*)$", script.read_text(), re.M)).split():
            found = glob.glob(pattern) if arch == "x86_64" else []
            if not found:
                raise Failure(f"{script} needs {pattern}, which this machine does not have for {arch}: install it")
            for path in found:
                files |= with_libraries(path)
    return files


def words(text):
    """The numbers in a line of the guest: key=value words, and at the end missing= with all that follows."""
    text, _, missing = text.partition(" missing=")
    found = dict(word.split("=", 1) for word in text.split() if "=" in word)
    return found | ({"missing": missing} if missing else {})


def parts(console):
    """The kernel's log in each situation, {name: text}; what comes before the first has the name ""."""
    pieces = re.split(r"^.*\breap: (?!end$)(\S+)$", console, flags=re.M)
    return {"": pieces[0]} | dict(zip(pieces[1::2], pieces[2::2]))


class Bench:
    """Boots guests until there is a row for each situation."""

    def __init__(self, tree, obj, driver, initrd, folder, memory):
        self.tree, self.obj, self.driver, self.initrd = tree, obj, driver, initrd
        self.folder, self.memory = folder, memory
        self.rows = {}
        self.boots = []

    def run(self, situations):
        """Put the driver before the `situations`, or all if there are none."""
        left = situations
        while left is None or left:
            left = self.boot(left)

    def boot(self, situations):
        """Boot a guest, and return the situations that it did not come to."""
        append = ["scenario=reap", "kunit.enable=0", "numa=fake=2"]
        append += [f"situations={','.join(situations)}"] if situations else []
        label = f"reap {self.driver.name}"
        run = guest.qemu(label, self.obj, self.folder / f"boot{len(self.boots)}", append, LIMIT, self.memory, self.initrd,
                         status=self.status)
        self.boots.append(run)
        text = text_of(run.ktap)
        listed = re.search(r"^# situations (.*)$", text, re.M)
        if not listed:
            raise Failure(f"the guest does not start: {run.problem or 'see its log'} (log: {run.console})")
        wanted = situations or listed[1].split()
        unknown = [name for name in wanted if name not in listed[1].split()]
        if unknown:
            raise Failure(f"there is no situation {unknown[0]}: there are {', '.join(listed[1].split())}")
        begun = re.findall(r"^#  RUN +(\S+) \.\.\.$", text, re.M)
        self.read(run, text, begun)
        return wanted[wanted.index(begun[-1]) + 1:] if begun else []

    def status(self, run):
        begun = re.findall(r"^#  RUN +(\S+) \.\.\.$", text_of(run.ktap), re.M)
        return begun[-1] if begun else "booting"

    def read(self, run, text, begun):
        """Make rows of what a boot printed."""
        consoles = parts(text_of(run.console))
        pieces = re.split(r"^#  RUN +(\S+) \.\.\.$", text, flags=re.M)
        for name, piece in zip(pieces[1::2], pieces[2::2]):
            problem = re.search(r"^# problem (.*)$", piece, re.M)
            if problem and not self.rows:
                said = [line for line in re.findall(r"^# (?:use|load): (.*)$", piece, re.M) if line not in problem[1]]
                raise Failure("\n".join([f"{self.driver.name}: {problem[1]}", *(f"  {line}" for line in said[-5:]),
                                         f"log: {run.console}"]))
            numbers = {}
            for line in re.findall(r"^# (?:row|unload) (.*)$", piece, re.M):
                numbers |= words(line)
            self.rows[name] = Row(name, numbers, list(self.problems(run, name, piece, problem)),
                                  self.reports(consoles.get(name, "")))
        early = self.reports(consoles[""])
        if early:
            self.rows.setdefault("boot", Row("boot", {}, [], early))

    def problems(self, run, name, piece, problem):
        """What went wrong with the bench itself, or the guest."""
        ended = re.search(rf"^ok 1 {re.escape(name)}$", piece, re.M)
        if problem:
            yield problem[1]
        elif not ended:
            yield "hangs" if run.problem and "hangs" in run.problem else "the kernel crashes"
        bail = re.search(r"^Bail out! (.*)$", piece, re.M)
        if bail:
            yield f"the bench stopped: {bail[1]}"

    def reports(self, console):
        """The kernel's reports in a log, each with the place in the driver."""
        texts = ["\n".join(report.lines) for report in log.reports(console)]
        # A panic is only what becomes of the first.
        texts = texts[:1] + [text for text in texts[1:] if not text.startswith("Kernel panic")]
        return [(text, frames.place(self.tree, self.driver.modules, text, self.driver.binutils)) for text in texts]


def show(bench):
    """Print the table, and each kind of report once."""
    rows = [row.cells() for row in bench.rows.values()]
    print("\n" + table.text(["situation", "asked", "let go", "refused", "longest", "memory back", "data", "result"], rows, 1))
    seen = {}
    for row in bench.rows.values():
        for text, place in row.reports:
            # A task is named by what it runs.
            header = re.sub(r"0x[0-9a-f]+|\b\d+\b|[\w.-]+(?=/\d+/)", "N", header_of(text))
            seen.setdefault((header, place), [header_of(text), []])[1].append(row.situation)
    for (_, place), (header, situations) in seen.items():
        print(f"\n{header}\n    at {place or 'no line of the driver'}, in {', '.join(dict.fromkeys(situations))}")


def header_of(text):
    """The line of a report that says what it is."""
    lines = [line for line in text.splitlines() if line.strip() and not re.match(r"[-=]+(\[ cut here \][-=]+)?$", line)]
    return next((line for line in lines if re.search(r"BUG|WARNING|Invalid|INFO|Oops|fault", line)), lines[0]).strip()


def write_results(bench):
    """Write JSON and KTAP."""
    records = [row.record() for row in bench.rows.values()]
    (bench.folder / "reap.json").write_text(json.dumps(records, indent=1) + "\n")
    lines = ["KTAP version 1", f"1..{len(records)}"]
    for number, record in enumerate(records, 1):
        what = f"{number} {record['situation']}"
        lines += {"passed": [f"ok {what}"], "skipped": [f"ok {what} # SKIP {record['why']}"],
                  "failed": [f"# {record['why']}", f"not ok {what}"]}[record["result"]]
    (bench.folder / "reap.ktap").write_text("\n".join(lines) + "\n")


def put(tree, config, obj, folder, situations=None, params="", memory=MEMORY):
    """Put the driver of a folder before the situations, and write the results; the Bench."""
    driver = prepare(tree, config, obj, folder, params)
    results = tree.results / f"reap-{driver.name}{guest.suffix(config)}"
    bench = Bench(tree, obj, driver, initramfs(tree, obj, driver.files), results, memory)
    bench.run(situations)
    write_results(bench)
    return bench


def counts(bench):
    results = [row.record()["result"] for row in bench.rows.values()]
    return table.Counts(*(results.count(word) for word in ("passed", "failed", "skipped")))


def run(driver, situations, params, memory, language):
    if not driver:
        raise Failure(f"name a driver: make reap DRIVER=folder, or one of {', '.join(examples())}")
    folder = folder_of(driver)
    if not folder:
        return write_template(driver, language)
    with prepared() as tree:
        obj = kernel.build(tree, "x86_64")
        bench = put(tree, "x86_64", obj, folder, situations and situations.split(","), params, memory)
    show(bench)
    print(f"\n{counts(bench)}\n{bench.folder}: reap.json, reap.ktap, and the logs of {len(bench.boots)} guests")
    return bool(counts(bench).failed)


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("driver", nargs="?", metavar="DRIVER", help="a folder, or the name of one in tests/reap")
    parser.add_argument("--situations", metavar="NAME,...", help="only these")
    parser.add_argument("--params", default="", help="parameters of the modules")
    parser.add_argument("--memory", default=MEMORY, help=f"of the guest, {MEMORY} if not given")
    parser.add_argument("--language", default="rust", choices=LANGUAGES, help="of a driver that is written")
    main(run, parser)
