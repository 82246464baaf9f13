#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# memory: 512M
# timeout: 180
#
# Loading and unloading the sample driver, and what is left behind.

. ./ktap_helpers.sh

module=rust_mmu_mirror
ko=/lib/modules/$module.ko

# leaks: the memory that nothing points to any more
leaks() {
	echo scan >/sys/kernel/debug/kmemleak
	# What was allocated within the last five seconds is not reported.
	sleep 6
	echo scan >/sys/kernel/debug/kmemleak
	cat /sys/kernel/debug/kmemleak
}

bad_parameter() {
	! insmod $ko refuse=often 2>/dev/null
}

busy() {
	rmmod $module 2>&1 | grep -q "Resource temporarily unavailable"
}

gone() {
	[ ! -e /dev/mmu_mirror ]
}

again() {
	insmod $ko && rmmod $module
}

no_leaks() {
	found=$(leaks)
	[ -z "$found" ] || { echo "$found" >/dev/kmsg; false; }
}

ktap_print_header
ktap_set_plan 8

ktap_test_result "a parameter that is no number is refused" bad_parameter
ktap_test_result "the module loads" insmod $ko
ktap_test_result "the device is there" test -c /dev/mmu_mirror

# A process that has memory mirrored, and still has when it is killed.
./hold_mirror &
holder=$!
while [ ! -e /tmp/holding ]; do sleep 0.1; done
ktap_test_result "it can't be unloaded while a process has it open" busy
kill $holder
wait $holder

ktap_test_result "it can be unloaded afterwards" rmmod $module
ktap_test_result "the device is gone" gone
ktap_test_result "it loads and unloads again" again
ktap_test_result "nothing has leaked" no_leaks

ktap_finished
