# SPDX-License-Identifier: GPL-2.0
"""Tests of what a guest is booted with."""

import pathlib
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

import guest  # noqa: E402


class Clock(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.obj = pathlib.Path(folder.name) / "x86_64"
        self.obj.mkdir()
        (self.obj / ".config").write_text("CONFIG_HZ_250=y\nCONFIG_HZ=250\n")

    def test_measures_agree(self):
        # Not cached: each is made anew.
        first, second = (guest.tsc_khz.__wrapped__(self.obj.parent / "tsc") for _ in range(2))
        self.assertAlmostEqual(first / second, 1, places=3)

    def test_no_measure(self):
        self.assertIsNone(guest.tsc_khz.__wrapped__(self.obj / "missing/tsc"))
        with mock.patch.object(guest, "tsc_khz", return_value=None):
            self.assertEqual(guest.clock(self.obj), [])

    def test_only_emulated_guests_are_given_one(self):
        with mock.patch.object(guest, "tsc_khz", return_value=2600000):
            emulated, virtual, counting = (
                " ".join(map(str, guest.qemu_command(self.obj, machine, [], "512M")))
                for machine in (guest.TCG, guest.KVM, ["-icount", "shift=0"]))
        self.assertIn("tsc=reliable tsc_early_khz=2600000 lpj=10400000 no_timer_check", emulated)
        self.assertNotIn("tsc", virtual + counting)


class Architectures(unittest.TestCase):
    def command(self, name):
        obj = pathlib.Path("/cache") / name
        return " ".join(map(str, guest.qemu_command(obj, guest.accelerator(obj), [], "512M", "initrd")))

    def test_arm64(self):
        command = self.command("arm64")
        self.assertTrue(command.startswith("qemu-system-aarch64 -machine virt -accel tcg"), command)
        for words in ("-kernel /cache/arm64/arch/arm64/boot/Image ", "console=ttyAMA0 ", "-initrd initrd"):
            self.assertIn(words, command)
        for words in ("tsc", "ttyS", "qboot", "kvm"):
            self.assertNotIn(words, command)

    def test_x86_64(self):
        with mock.patch.object(guest, "kvm_works", return_value=True):
            command = self.command("x86_64-rt")
        self.assertTrue(command.startswith("qemu-system-x86_64 -bios qboot.rom -accel kvm"), command)
        self.assertIn("-kernel /cache/x86_64-rt/arch/x86/boot/bzImage ", command)

    def test_names_of_results(self):
        self.assertEqual([guest.suffix(name) for name in ("x86_64", "x86_64-rt", "arm64", "arm64-16k")],
                         ["", "-rt", "-arm64", "-arm64-16k"])


class Patience(unittest.TestCase):
    def test_without_news_it_ends(self):
        patience = guest.Patience(100, 1000)
        self.assertGreater(patience.left(0, 1099), 0)
        self.assertLessEqual(patience.left(0, 1100), 0)

    def test_news_begin_it_anew(self):
        patience = guest.Patience(100, 1000)
        patience.left(1, 1001)
        self.assertEqual(patience.left(2, 1090), 100)
        self.assertEqual(patience.left(2, 1140), 50)

    def test_slow_guests_get_more(self):
        patience = guest.Patience(100, 1000)
        self.assertEqual(patience.left(1, 1000 + 3 * guest.BOOT), 300)

    def test_the_first_may_take_longer(self):
        patience = guest.Patience(30, 1000, first=100)
        self.assertGreater(patience.left(0, 1099), 0)
        self.assertLessEqual(patience.left(0, 1100), 0)
        self.assertEqual(patience.left(1, 1001), 30)

    def test_news(self):
        for line, news in (("ok 1 a", 1), ("[    1.400036]     not ok 2 b", 1), ("    #  RUN           c ...", 1),
                           ("[    0.5]     # Subtest: d", 1), ("[    0.45] bench: cost: case=e", 1),
                           ("[   61.5] INFO: task f:93 blocked for more than 30 seconds.", 0), ("# a comment", 0)):
            with self.subTest(line):
                self.assertEqual(len(guest.NEWS.findall(line)), news)


if __name__ == "__main__":
    unittest.main()
