#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# memory: 256M
#
# Drivers that cannot give memory back immediately, in C and in Rust, and the
# results of the reaper: see driver_waits.c.

. ./helpers.inc
not_tried_first

ways=$(echo ${ways:-oom,memcg,mrelease} | tr , " ")
reaper_waits=/proc/sys/vm/oom_reaper_waits
drivers=4 forms=3 others=3
# Without the last form, but with the ten victims.
[ -e $reaper_waits ] && forms=$((forms + 2)) others=$((others + 1))

# stories WAY...: reap the memory in each way
stories() {
	for way in "$@"; do
		started "$way"
		results driver_waits $way
	done
}

ktap_print_header
ktap_set_plan $(($(echo $ways | wc -w) * drivers * forms + others))

result "the driver loads" insmod /lib/modules/driver_waits.ko
result "its twin in C loads" insmod /lib/modules/driver_waits_twin.ko
# Locked memory is not moved for other processes, either.
echo 0 >/proc/sys/vm/compact_unevictable_allowed

stories $ways
if [ -e $reaper_waits ]; then
	echo 1 >$reaper_waits
	# One of the ten is stuck, and is no news.
	echo 0 >/proc/sys/kernel/hung_task_timeout_secs
	stories $ways ten
fi

# A callback that still runs would keep them.
result "they can be unloaded" rmmod driver_waits driver_waits_twin

ktap_finished
