# SPDX-License-Identifier: GPL-2.0
"""Prove that the callbacks of MMU notifiers cannot sleep, on the bitcode of a kernel.

The exit code is 0 if all is proved, 1 after an alarm, 2 if something is not proved, 3 after an error of the prover.
"""

import hashlib
import os
import pathlib
import re
import subprocess

from build import USERS, build, explain, make, run_make
from common import Failure, PROJECT, arguments, cache, environment, main, output
from tree import place, prepared

CRATE = PROJECT / "tools/prove"
NAME = "prove"
# The exit code if there is no verdict.
NO_VERDICT = 3

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
        # An object in C is bitcode itself. Then a file of that name is left from a driver that was in Rust.
        if candidate and candidate.exists() and not path.read_bytes().startswith(b"BC"):
            return candidate
    return path


def archive(obj, name):
    result = output(["llvm-ar", "t", name], cwd=obj)
    if result.returncode:
        raise Failure(f"{obj / name} cannot be read: {result.stdout}")
    # The members of a thin archive are named from the folder of the archive, or from here.
    return [path if (obj / path).exists() else str(pathlib.Path(name).parent / path)
            for path in result.stdout.splitlines()]


def modules(obj):
    """The objects of each module that was built in `obj`."""
    return [[bitcode(obj, path) for path in (obj / module).with_suffix(".mod").read_text().split()]
            for module in (obj / "modules.order").read_text().split()]


def objects(obj):
    """The objects of the kernel: pairs of a unit, which is 0 for the image and another for each module, and a path."""
    archives = "vmlinux.a", "lib/lib.a", "arch/x86/lib/lib.a"
    image = [bitcode(obj, path) for name in archives for path in archive(obj, name)]
    return [(unit, path) for unit, paths in enumerate([image, *modules(obj)]) for path in paths]


def find_driver(tree, driver):
    """What DRIVER means: its path in the kernel tree and None, or None and its path elsewhere."""
    path = pathlib.Path(os.path.abspath(driver))
    if path.exists():
        roots = map(pathlib.Path, filter(None, [tree.src, os.environ.get("KSRC")]))
        inside = [path.relative_to(root) for root in roots if path.is_relative_to(root)]
        name = str(path.relative_to(PROJECT)) if path.is_relative_to(PROJECT) else ""
        # A folder has the place of its files.
        inside += [pathlib.Path(target) for target in (place(name), place(f"{name}/")) if target]
    else:
        inside = [] if os.path.isabs(driver) else [pathlib.Path(os.path.normpath(driver))]
    found = next((target for target in inside if (tree.src / target).exists()), None)
    source = tree.src / found if found else path
    if not source.exists():
        raise Failure(f"DRIVER={driver} is neither here nor in the kernel tree")
    if source.is_file() and source.suffix not in (".c", ".rs"):
        raise Failure(f"DRIVER={driver} is no folder, and no file in C or Rust")
    if found:
        return found, None
    if re.search(r"[\s:]", str(path)):
        raise Failure(f"make cannot work in {path}, for the space or colon in its name: move it")
    if path.is_dir() and not any((path / name).exists() for name in ("Kbuild", "Makefile")):
        raise Failure(f"{path} has no Kbuild: write one with `obj-m += NAME.o` for NAME.c or NAME.rs")
    return None, path


def within_tree(tree, obj, path, known):
    """The text in the paths of the objects of a driver in the kernel tree, if some of those that are `known` are its."""
    folder = f"{obj / path}/"
    if any(str(target).startswith(folder) for target in known):
        return folder
    # A file of the kernel crate is part of its object.
    for part in [path, *path.parents] if path.parts[0] == "rust" else [path]:
        target = obj / part.with_suffix(".o")
        if target.exists() and bitcode(obj, target) in known:
            return str(bitcode(obj, target))
    if str(path.with_suffix(".o")) in map(os.path.normpath, USERS):
        raise Failure(f"the kernel of `make prove` is built without {path}: `make prove USERS=1` judges it")
    missing = options_of(tree, obj, path)
    options = " and ".join(missing) or "the option that builds it"
    raise Failure(f"the kernel of `make prove` is built without {path}: add {options} to configs/prove.config, "
                  "with all dependencies")


def options_of(tree, obj, path):
    """The options that are off, and that the Makefiles name beside a file or a folder in the kernel tree."""
    config = (obj / ".config").read_text()
    missing = []
    for part in [*reversed(path.parents), path][1:]:
        name = f"{part.name}/" if (tree.src / part).is_dir() else f"{part.stem}.o"
        line = re.compile(rf"^[\w-]+-\$\((CONFIG_\w+)\)[ \t]*[:+]?=(?:.*\s)?{re.escape(name)}(?:\s|$)", re.M)
        for file in (tree.src / part.parent / makefile for makefile in ("Makefile", "Kbuild")):
            text = file.read_text().replace("\\\n", " ") if file.exists() else ""
            missing += [f"{option}=y" for option in line.findall(text) if not re.search(f"^{option}=", config, re.M)]
    return list(dict.fromkeys(missing))


def build_driver(tree, path):
    """Build a driver that is not in the kernel tree, and return its modules, and the text in the paths of its objects."""
    out = tree.root / f"{NAME}-driver" / f"{path.name}-{hashlib.sha256(bytes(path)).hexdigest()[:8]}"
    out.mkdir(parents=True, exist_ok=True)
    folder = path if path.is_dir() else folder_for_file(path, out / "folder")
    # No file is written into the folder of the driver.
    log = tree.results / NAME / "driver.log"
    if run_make(tree, NAME, log, make(tree, NAME, f"M={folder}", f"MO={out}", "modules.order")):
        raise Failure(f"{path} does not build:\n{explain(log.read_text(errors='replace'))}\nlog: {log}")
    built = modules(out)
    if not built:
        raise Failure(f"the Kbuild of {folder} names no module: add `obj-m += NAME.o` for NAME.c or NAME.rs")
    return built, f"{out}/"


def folder_for_file(path, folder):
    """Make a folder in which a file is a module by itself, and has its neighbors."""
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    # Not the Makefile of the folder, and not the same driver in another language.
    other = {"Kbuild", "Makefile", *(f"{path.stem}{suffix}" for suffix in (".c", ".rs", ".S"))} - {path.name}
    for neighbor in path.parent.iterdir():
        if neighbor.name not in other:
            (folder / neighbor.name).symlink_to(neighbor)
    (folder / "Kbuild").write_text(f"obj-m := {path.stem}.o\nccflags-y := -I{path.parent}\n")
    return folder


def run(driver, root, explain, mutate, seed, users):
    if driver and users:
        raise Failure("DRIVER= and USERS=1 are for different kernels: use one of them")
    name = "prove-users" if users else NAME
    with prepared() as tree:
        check_fields((tree.src / "include/linux/mmu_notifier.h").read_text())
        inside, outside = find_driver(tree, driver) if driver else (None, None)
        program = prover()
        obj = build(tree, name)
        # Each object of a module that is not whole stands alone.
        found = list(enumerate(bitcode(obj, path) for path in USERS)) if users else objects(obj)
        command = [str(program), "--axioms", str(CRATE / "axioms.txt"), "--cache", str(tree.root / f"{name}-objects")]
        if users:
            command += ["--partial"]
        if inside:
            command += ["--within", within_tree(tree, obj, inside, {path for _, path in found})]
        if outside:
            built, within = build_driver(tree, outside)
            first = max(unit for unit, _ in found) + 1
            found += [(unit, path) for unit, paths in enumerate(built, first) for path in paths]
            command += ["--within", within]
        for option, value in (("--root", root), ("--explain", explain), ("--mutate", mutate), ("--seed", seed)):
            if value:
                command += [option, value]
        results = tree.results / name
        (results / "objects").write_text("".join(f"{unit} {path}\n" for unit, path in found))
        command += ["--objects", str(results / "objects"), "--json", str(results / "verdicts.json"),
                    "--sarif", str(results / "verdicts.sarif")]
        code = subprocess.run(command, env=environment(), stdin=subprocess.DEVNULL).returncode
        if not mutate and code != NO_VERDICT:
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
    main(run, parser, NO_VERDICT)
