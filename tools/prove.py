# SPDX-License-Identifier: GPL-2.0
"""Prove that the callbacks of MMU notifiers cannot sleep, on the bitcode of a kernel.

The exit code is 0 if all is proved, 1 after an alarm, 2 if something is not proved, 3 after an error of the prover.
"""

import pathlib
import re
import subprocess

from build import USERS, build, explain, make, run_make
from common import Failure, PROJECT, arguments, cache, environment, main, output
from tree import place, prepared

CRATE = PROJECT / "tools/prove"
NAME = "prove"

# The order of the fields that src/roots.rs knows by their numbers and offsets.
FIELDS = {
    "mmu_interval_notifier_ops": ["invalidate", "invalidate_start", "invalidate_finish"],
    "mmu_notifier_ops": ["release", "clear_flush_young", "clear_young", "test_young", "invalidate_range_start",
                         "invalidate_range_end", "arch_invalidate_secondary_tlbs", "alloc_notifier", "free_notifier"],
    "mmu_notifier_range": ["mm", "start", "end", "flags", "event", "owner"],
}


def check_fields(header):
    """Check that the structs in the text of mmu_notifier.h have these fields, or the prover would judge other ones."""
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
    for struct, expected in FIELDS.items():
        body = re.search(rf"^struct {struct} {{\n(.*?)^}};", text, re.M | re.S)
        found = re.findall(r"\(\*(\w+)\)\(|\b(\w+);", body[1]) if body else []
        names = [pointer or field for pointer, field in found]
        if names != expected:
            raise Failure(f"struct {struct} has the fields {', '.join(names) or 'of another header'}: "
                          "change tools/prove/src/roots.rs and FIELDS in tools/prove.py")


def cargo(*words):
    """Run cargo on the prover, which needs no crate and so no network."""
    env = environment() | {"CARGO_TARGET_DIR": str(cache() / "tools/prove")}
    command = ["cargo", *words, "--offline", "--locked", "--manifest-path", str(CRATE / "Cargo.toml")]
    return subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace")


def prover():
    """Build the prover, and return its path."""
    result = cargo("build", "--release")
    if result.returncode:
        raise Failure(f"tools/prove does not build:\n{result.stdout}")
    return cache() / "tools/prove/release/prove"


def bitcode(obj, path):
    """The file of bitcode for the object `path`, or the object itself if it has none, as of assembly.

    rustc calls the bitcode by the name of the crate. That of the crates in rust/ is where the build began.
    """
    path = obj / path
    crate = f"{path.stem.replace('-', '_')}.bc"
    for candidate in (path.parent / crate, obj / crate if path.parent == obj / "rust" else None):
        if candidate and candidate.exists():
            return candidate
    return path


def archive(obj, name):
    result = output(["llvm-ar", "t", name], cwd=obj)
    if result.returncode:
        raise Failure(f"{obj / name} cannot be read: {result.stdout}")
    # The members of a thin archive are named from the folder of the archive, or from here.
    return [path if (obj / path).exists() else str(pathlib.Path(name).parent / path)
            for path in result.stdout.splitlines()]


def objects(obj):
    """The objects of the kernel: pairs of a unit, which is 0 for the image and another for each module, and a path."""
    found = [(0, path) for name in ("vmlinux.a", "lib/lib.a", "arch/x86/lib/lib.a") for path in archive(obj, name)]
    modules = (obj / "modules.order").read_text().split()
    for unit, module in enumerate(modules, 1):
        found += [(unit, path) for path in (obj / module).with_suffix(".mod").read_text().split()]
    return [(unit, bitcode(obj, path)) for unit, path in found]


def driver_objects(tree, obj, driver, known):
    """The path by which the objects of a driver are known, and those objects that the kernel does not have."""
    source = pathlib.Path(driver).absolute()
    names = [] if pathlib.Path(driver).is_absolute() else [driver, place(driver)]
    inside = next((path for path in names if path and (tree.src / path).exists()), None)
    if inside and (tree.src / inside).is_dir():
        return f"{obj / inside}/", []
    if inside:
        goal = str(pathlib.Path(inside).with_suffix(".o"))
        target = bitcode(obj, goal)
        if target in known:
            return str(target), []
        compile_driver(tree, goal)
        return str(bitcode(obj, goal)), [bitcode(obj, goal)]
    if not source.exists():
        raise Failure(f"{driver} is neither here nor in the kernel tree")
    if source.suffix not in (".c", ".rs"):
        raise Failure(f"{driver} is no file in C or Rust")
    # A module of its own, so that nothing is written beside the driver.
    folder = tree.results / NAME / "driver"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    (folder / source.name).symlink_to(source)
    (folder / "Kbuild").write_text(f"obj-m := {source.stem}.o\nccflags-y := -I{source.parent}\n")
    compile_driver(tree, f"{source.stem}.o", f"M={folder}")
    target = bitcode(folder, f"{source.stem}.o")
    return str(target), [target]


def compile_driver(tree, *words):
    log = tree.results / NAME / "driver.log"
    if run_make(tree, NAME, log, make(tree, NAME, *words)):
        raise Failure(f"the driver does not build:\n{explain(log.read_text(errors='replace'))}\nlog: {log}")


def run(driver, root, explain, mutate, seed, users):
    name = "prove-users" if users else NAME
    with prepared() as tree:
        check_fields((tree.src / "include/linux/mmu_notifier.h").read_text())
        program = prover()
        obj = build(tree, name)
        # Each object of a module that is not whole stands alone.
        found = list(enumerate(bitcode(obj, path) for path in USERS)) if users else objects(obj)
        command = [str(program), "--axioms", str(CRATE / "axioms.txt"), "--cache", str(tree.root / f"{name}-objects")]
        if users:
            command += ["--partial"]
        elif driver:
            within, more = driver_objects(tree, obj, driver, [path for _, path in found])
            unit = max(unit for unit, _ in found) + 1
            found += [(unit, path) for path in more]
            command += ["--within", within]
        for option, value in (("--root", root), ("--explain", explain), ("--mutate", mutate), ("--seed", seed)):
            if value:
                command += [option, value]
        results = tree.results / name
        (results / "objects").write_text("".join(f"{unit} {path}\n" for unit, path in found))
        command += ["--objects", str(results / "objects"), "--json", str(results / "verdicts.json"),
                    "--sarif", str(results / "verdicts.sarif")]
        code = subprocess.run(command, env=environment(), stdin=subprocess.DEVNULL).returncode
        if not mutate:
            print(f"verdicts: {results / 'verdicts.json'}, {results / 'verdicts.sarif'}")
        return code


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--driver", help="only the callbacks of this file or folder, in the kernel tree or outside of it")
    parser.add_argument("--root", help="only this function, which need not be a callback")
    parser.add_argument("--explain", help="show what is known in this function, and which of its calls cannot run")
    parser.add_argument("--mutate", help="put so many sleeps on paths of proved callbacks, and check that each is found")
    parser.add_argument("--seed", help="the number from which the paths are drawn")
    parser.add_argument("--users", action="store_true", help="only the large C users of 7.3, in another configuration")
    main(run, parser)
