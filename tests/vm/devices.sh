#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# memory: 1G
#
# The operations that a mirroring device must not prevent, and the callers of
# its driver, for both samples: see devices.c.

. ./helpers.inc

# Off by default where there is less memory.
echo madvise >/sys/kernel/mm/transparent_hugepage/enabled

ktap_print_header
ktap_set_plan 4

result "the mirror loads" insmod /lib/modules/rust_mmu_mirror.ko
result "the HMM device loads" insmod /lib/modules/rust_hmm_mirror.ko
program devices
result "they can be unloaded afterwards" rmmod rust_mmu_mirror rust_hmm_mirror

ktap_finished
