#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# memory: 512M
#
# Many processes and threads at the same time, see load.c, and a check for
# leaks. It takes `seconds`, which the kernel command line can set, as well as
# `seed`.

. ./helpers.inc

module=rust_mmu_mirror

ktap_print_header
ktap_set_plan 8

result "the module loads" insmod /lib/modules/$module.ko
results ./load ${seconds:-60} ${seed:-1}
result "it can be unloaded afterwards" rmmod $module
leak_result

ktap_finished
