#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# memory: 512M
#
# The sample driver as a user of it sees it.

. ./helpers.inc

ktap_print_header
ktap_set_plan 2

result "the module loads" insmod /lib/modules/rust_mmu_mirror.ko
program mirror_test

ktap_finished
