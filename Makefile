# SPDX-License-Identifier: GPL-2.0
#
# For people: every target installs what is missing, builds what changed, and says what it does.
# The work is done by the programs in tools/.
#
## make demo        the OOM reaper meets three Rust drivers: one that lets go, one that refuses, one that sleeps
## make test        every test there is
## make test-fast   unit tests on user-mode Linux only: under a minute
## make test-kasan  the tests in a guest with KASAN
## make check       rustfmt, clippy, rustdoc, checkpatch, warnings, builds with options off
## make shell       an interactive guest with the modules and sample programs
## make apply       put patches and files into your own kernel tree: make apply KSRC=/path/to/linux
## make clean       remove everything that was built or downloaded
##
## KSRC=/path/to/linux with any of these uses your kernel source instead; only `make apply` writes into it.

help:
	@sed -n 's/^## \{0,1\}//p' Makefile

demo check shell apply: setup
	@python3 tools/$@.py

test: setup
	@python3 tools/test.py

test-fast: setup
	@python3 tools/test.py fast

test-kasan: setup
	@python3 tools/test.py kasan

setup:
	@tools/setup

clean:
	@python3 tools/clean.py

export KSRC
.PHONY: help demo check shell apply test test-fast test-kasan setup clean
