#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# memory: 256M
#
# Drivers that cannot let go of memory at once, in C and in Rust, and how the
# reaper fares with them: see driver_waits.c.

. ./helpers.inc

ways=$(echo ${ways:-oom,memcg,mrelease} | tr , " ")
drivers=4 forms=3

ktap_print_header
ktap_set_plan $(($(echo $ways | wc -w) * drivers * forms + 3))

result "the driver loads" insmod /lib/modules/driver_waits.ko
result "its twin in C loads" insmod /lib/modules/driver_waits_twin.ko
# What is locked is not moved for others either.
echo 0 >/proc/sys/vm/compact_unevictable_allowed

for way in $ways; do
	started "$way"
	results driver_waits $way
done

# A callback that still runs would keep them.
result "they can be unloaded" rmmod driver_waits driver_waits_twin

ktap_finished
