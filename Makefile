# SPDX-License-Identifier: GPL-2.0
#
# For people: every target installs missing packages, builds changed files, and prints its steps.
# The programs in tools/ do the work.
#
## make demo        show how the OOM reaper gets memory back from drivers that obey, refuse, sleep or wait
## make test        every test except those of test-rt; with ARCH=arm64 in guests of arm64
## make test-fast   unit tests on user-mode Linux only: under a minute
## make test-rt     the unit tests in a guest with PREEMPT_RT, and one scenario
## make check       rustfmt, clippy, rustdoc, checkpatch, warnings, builds with options off
## make prove       prove that no callback can sleep, in Rust and in C: with DRIVER=path of a driver, ROOT=function of any;
##                  with USERS=1 the large drivers in C; with MUTATE=100 put sleeps on paths, and check that it alarms
## make bench       the cost of Rust beside C; with CASE=... only the cases that match; with ARCH=arm64 on arm64
## make reap        your driver meets the OOM reaper: make reap DRIVER=folder
## make docs        the pages and the API documentation as HTML
## make shell       an interactive guest with the modules and test programs; with FRAGMENT=my.config in its kernel,
##                  MEMORY=2G, and FILES="my_test.c my_test.sh" in its /tests
## make series      the project as patches to mail: make series SIGNOFF="Name <mail>"; with TO=mail, what
##                  git send-email would send
## make series-build  build the kernel after each patch, in several configurations: hours
## make apply       put patches and files into your own kernel tree: make apply KSRC=/path/to/linux
## make clean       remove everything that was built or downloaded
##
## With KSRC=/path/to/linux any of these uses your kernel source; only `make apply` writes into it.

# Debian's python3, even if PATH has another one.
python = /usr/bin/python3

help:
	@sed -n 's/^## \{0,1\}//p' Makefile

demo check: setup
	@$(python) tools/$@.py

# Not the ARCH of the environment, which may be that of other kernels.
arch = $(if $(filter command,$(origin ARCH)),$(filter-out x86_64,$(ARCH)))

test:
	@tools/setup $(arch)
	@$(python) tools/test.py $(arch)

apply:
	@tools/setup apply
	@$(python) tools/apply.py

test-fast: setup
	@$(python) tools/test.py fast

test-rt: setup
	@$(python) tools/test.py rt

series:
	@tools/setup $(if $(TO),mail)
	@$(python) tools/series.py $(if $(TO),--to="$(TO)")

series-build: setup
	@$(python) tools/series.py build

prove: setup
	@$(python) tools/prove.py $(if $(DRIVER),--driver "$(DRIVER)") $(if $(ROOT),--root "$(ROOT)") \
		$(if $(EXPLAIN),--explain "$(EXPLAIN)") $(if $(MUTATE),--mutate "$(MUTATE)") $(if $(SEED),--seed "$(SEED)") \
		$(if $(USERS),--users)

bench:
	@tools/setup $(or $(arch),bench)
	@$(python) tools/bench.py $(if $(arch),--arch=$(arch)) $(if $(CASE),"$(CASE)")

docs:
	@tools/setup docs
	@$(python) tools/docs.py

reap: setup
	@$(python) tools/reap.py $(if $(CASE),--situations="$(CASE)") $(if $(PARAMS),--params="$(PARAMS)") \
		$(if $(IN),--language="$(IN)") "$(DRIVER)"

shell: setup
	@$(python) tools/shell.py $(if $(FRAGMENT),--fragment="$(FRAGMENT)") $(if $(MEMORY),--memory="$(MEMORY)") $(FILES)

setup:
	@tools/setup

# Without a python3, there is nothing to remove.
clean:
	@[ ! -e $(python) ] || $(python) tools/clean.py

export KSRC SIGNOFF
.PHONY: help demo bench prove check docs reap shell apply test test-fast test-rt series series-build setup clean
