#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# memory: 256M
#
# Drivers that have to wait, and their waiters, see waiting_reaper.c.

. ./helpers.inc
not_tried_first

# A task that is not freed keeps its cgroup. An mm_struct is in a list, so
# kmemleak does not report it as a leak.
victims_are_freed() {
	tries=0
	until grep -q "^nr_dying_descendants 0$" /sys/fs/cgroup/cgroup.stat; do
		tries=$((tries + 1))
		[ $tries -lt $((slowness * 20)) ] || return
		sleep 1
	done
}

ktap_print_header
ktap_set_plan 5

result "the driver loads" insmod /lib/modules/slow_mmu_notifier.ko
program waiting_reaper
# A process that hangs keeps it.
result "it can be unloaded afterwards" rmmod slow_mmu_notifier
result "the victims are freed" victims_are_freed
leak_result

ktap_finished
