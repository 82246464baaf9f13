#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# memory: 256M
#
# process_mrelease(2) takes the memory, see mrelease.c.

. ./helpers.inc
not_tried_first

ktap_print_header
ktap_set_plan 4

result "the mirror loads" insmod /lib/modules/rust_mmu_mirror.ko
result "the list notifier that refuses loads" insmod /lib/modules/list_refuses.ko
program mrelease
# A process that hangs keeps them.
result "they can be unloaded afterwards" rmmod list_refuses rust_mmu_mirror

ktap_finished
