# SPDX-License-Identifier: GPL-2.0
"""Tests of what `make prove` expects of the kernel."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

import prove  # noqa: E402
from common import Failure, PROJECT  # noqa: E402
from tree import Tree  # noqa: E402


def header(**changed):
    """Return the text of a header with these structs, in which those of FIELDS are as they should be."""
    structs = {name: [f"\tbool (*{field})(int x);" if name.endswith("ops") else f"\tint {field};" for field in fields]
               for name, fields in prove.FIELDS.items()} | changed
    return "".join(f"struct {name} {{\n" + "\n".join(lines) + "\n};\n" for name, lines in structs.items())


class Fields(unittest.TestCase):
    def test_as_they_should_be(self):
        prove.check_fields(header())

    def test_another_order(self):
        lines = [f"\tbool (*{field})(struct a *a,\n\t\tint b);"
                 for field in ("invalidate_start", "invalidate", "invalidate_finish")]
        with self.assertRaisesRegex(Failure, "mmu_interval_notifier_ops has the fields invalidate_start, invalidate, "):
            prove.check_fields(header(mmu_interval_notifier_ops=lines))

    def test_one_more(self):
        lines = [f"\t/* int old; */\n\tunsigned long {field};" for field in ("mm", "start", "end", "more", "flags")]
        with self.assertRaisesRegex(Failure, "mmu_notifier_range has the fields mm, start, end, more, flags: "):
            prove.check_fields(header(mmu_notifier_range=lines))

    def test_not_there(self):
        with self.assertRaisesRegex(Failure, "the fields of another header"):
            prove.check_fields("struct mm_struct;\n")


class ExitCode(unittest.TestCase):
    def test_no_verdict(self):
        """A failure is no alarm."""
        result = subprocess.run([sys.executable, prove.__file__, "--users", "--driver=a"], capture_output=True, text=True)
        self.assertEqual(result.returncode, 3)
        self.assertRegex(result.stderr, "^error: DRIVER= and USERS=1 ")


class Files(unittest.TestCase):
    """A kernel tree, its objects, and a folder that is not in it."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.tree = Tree(pathlib.Path(folder.name) / "cache")
        self.obj = self.tree.root / "prove"
        self.mine = pathlib.Path(folder.name) / "mine"
        self.mine.mkdir()
        patch = mock.patch.dict(os.environ)
        patch.start()
        self.addCleanup(patch.stop)
        os.environ.pop("KSRC", None)

    def write(self, path, content=b""):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path


class Find(Files):
    """What DRIVER means."""

    def find(self, driver):
        return prove.find_driver(self.tree, str(driver))

    def test_in_the_tree(self):
        for path in ("drivers/hv/a.c", "samples/rust/rust_mmu_mirror.rs", "lib/tests/rust/b.rs"):
            self.write(self.tree.src / path)
        for driver, found in (("drivers/hv/a.c", "drivers/hv/a.c"), ("drivers/hv/", "drivers/hv"),
                              ("./drivers/../drivers/hv/a.c", "drivers/hv/a.c"),
                              (self.tree.src / "drivers/hv", "drivers/hv"),
                              (PROJECT / "samples/rust/rust_mmu_mirror.rs", "samples/rust/rust_mmu_mirror.rs"),
                              (PROJECT / "tests/kunit", "lib/tests/rust")):
            self.assertEqual(self.find(driver), (pathlib.Path(found), None), driver)
        # It is there under the name of the source, too.
        os.environ["KSRC"] = str(self.mine)
        self.write(self.mine / "drivers/hv/a.c")
        self.assertEqual(self.find(self.mine / "drivers/hv"), (pathlib.Path("drivers/hv"), None))

    def test_elsewhere(self):
        self.write(self.mine / "Kbuild")
        self.write(self.mine / "a.rs")
        for driver in (self.mine, self.mine / "a.rs", PROJECT / "tests/reap/careless"):
            self.assertEqual(self.find(driver), (None, driver))

    def test_nowhere(self):
        for driver in ("drivers/none", self.mine / "none.c", "/"):
            with self.assertRaisesRegex(Failure, "neither here nor in the kernel tree|/ has no Kbuild"):
                self.find(driver)

    def test_no_driver(self):
        with self.assertRaisesRegex(Failure, "mine has no Kbuild: write one"):
            self.find(self.mine)
        with self.assertRaisesRegex(Failure, "no file in C or Rust"):
            self.find(self.write(self.mine / "a.h"))
        spaced = self.write(self.mine / "my driver/Kbuild")
        with self.assertRaisesRegex(Failure, "my driver, for the space"):
            self.find(spaced.parent)


class Within(Files):
    """The objects of a driver in the kernel tree."""

    def within(self, path):
        known = {path for path in self.obj.rglob("*") if path.suffix in (".o", ".bc")}
        return prove.within_tree(self.tree, self.obj, pathlib.Path(path), known)

    def test_built(self):
        for path in ("drivers/hv/a.o", "rust/kernel.o", "kernel.bc"):
            self.write(self.obj / path)
        self.assertEqual(self.within("drivers/hv"), f"{self.obj}/drivers/hv/")
        self.assertEqual(self.within("drivers/hv/a.c"), f"{self.obj}/drivers/hv/a.o")
        self.assertEqual(self.within("rust/kernel/mm/mmu_notifier.rs"), f"{self.obj}/kernel.bc")

    def test_not_built(self):
        self.write(self.obj / ".config", b"CONFIG_HV=y\n# CONFIG_GPU is not set\n")
        self.write(self.tree.src / "drivers/Makefile", b"obj-$(CONFIG_GPU) += other/ \\\n\tgpu/ last/\n")
        self.write(self.tree.src / "drivers/gpu/Kbuild", b"obj-$(CONFIG_HV) += a.o\ng-$(CONFIG_GPU_A) += b.o a.o\n")
        self.write(self.tree.src / "drivers/gpu/a.c")
        with self.assertRaisesRegex(Failure, "built without drivers/gpu/a.c: add CONFIG_GPU=y and CONFIG_GPU_A=y to "):
            self.within("drivers/gpu/a.c")
        with self.assertRaisesRegex(Failure, "built without drivers/gpu: add CONFIG_GPU=y to "):
            self.within("drivers/gpu")
        with self.assertRaisesRegex(Failure, "built without drivers/none.c: add the option that builds it to configs/"):
            self.within("drivers/none.c")
        with self.assertRaisesRegex(Failure, "USERS=1"):
            self.within("drivers/gpu/drm/amd/amdkfd/kfd_svm.c")


class Build(Files):
    """Drivers that are not in the kernel tree."""

    def build(self, path, order, code=0):
        """Build with a make that lists these modules, each of one object, and keep its words."""
        def run_make(_tree, _name, log, command):
            self.words = dict(word.split("=", 1) for word in command if "=" in word)
            out = pathlib.Path(self.words["MO"])
            for module in order:
                self.write(out / f"{module}.o", b"BC")
                self.write(out / f"{module}.mod", f"./{module}.o\n".encode())
            self.write(out / "modules.order", "".join(f"{module}.o\n" for module in order).encode())
            self.write(log, b"a.c:1:2: error: expected ;\n")
            return code
        with mock.patch.object(prove, "run_make", run_make):
            return prove.build_driver(self.tree, path)

    def test_folder(self):
        built, within = self.build(self.mine, ["a", "b"])
        self.assertEqual(self.words["M"], str(self.mine))
        self.assertEqual([[str(path).removeprefix(within) for path in paths] for paths in built], [["a.o"], ["b.o"]])

    def test_file(self):
        for name in ("a.c", "a.rs", "a.h", "b.h", "Kbuild"):
            self.write(self.mine / name, name.encode())
        self.build(self.mine / "a.rs", ["a"])
        folder = pathlib.Path(self.words["M"])
        self.assertEqual(sorted(path.name for path in folder.iterdir()), ["Kbuild", "a.h", "a.rs", "b.h"])
        self.assertTrue((folder / "Kbuild").read_text().startswith("obj-m := a.o\n"))
        self.assertEqual(sorted(path.name for path in self.mine.iterdir()), ["Kbuild", "a.c", "a.h", "a.rs", "b.h"])
        self.assertEqual((self.mine / "Kbuild").read_text(), "Kbuild")

    def test_no_module(self):
        with self.assertRaisesRegex(Failure, "names no module"):
            self.build(self.mine, [])

    def test_does_not_build(self):
        with self.assertRaisesRegex(Failure, "mine does not build:\na.c:1:2: error: expected ;\n"):
            self.build(self.mine, [], 2)

    def test_bitcode_of_another_language(self):
        """An object in C is not judged by the bitcode that is left of a driver in Rust."""
        self.write(self.obj / "a.bc")
        self.write(self.obj / "a.o", b"\x7fELF")
        self.assertEqual(prove.bitcode(self.obj, "a.o"), self.obj / "a.bc")
        self.write(self.obj / "a.o", b"BC\xc0\xde")
        self.assertEqual(prove.bitcode(self.obj, "a.o"), self.obj / "a.o")
