#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The mirror driver in C and in Rust: its cost, and the time to get the memory
# of a killed process back.

for who in c rust; do
	case $who in
	c) module=mmu_mirror_twin ;;
	rust) module=rust_mmu_mirror ;;
	esac
	insmod /lib/modules/$module.ko && ./mirror_bench $who || exit
	for i in 1 2 3 4 5; do
		echo "who=$who"
		oom_story mrelease lets-go || exit
	done
	rmmod $module || exit
done
