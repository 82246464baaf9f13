#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# memory: 512M
#
# Allocations that fail, see fail_nth.c and fail_nth_hmm.c, and whether any of it
# leaks.

. ./helpers.inc
not_tried_first

module=rust_mmu_mirror

ktap_print_header
ktap_set_plan 17

result "the module loads" insmod /lib/modules/$module.ko
results ./fail_nth
result "it can be unloaded afterwards" rmmod $module
result "the HMM device loads" insmod /lib/modules/rust_hmm_mirror.ko
results ./fail_nth_hmm
result "the HMM device can be unloaded afterwards" rmmod rust_hmm_mirror
leak_result

ktap_finished
