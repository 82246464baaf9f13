#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# memory: 512M
# timeout: 240
#
# Loading and unloading the sample driver, and what is left behind.

. ./helpers.inc

module=rust_mmu_mirror
ko=/lib/modules/$module.ko

bad_parameter() {
	! insmod $ko refuse=often 2>/dev/null
}

# All that mirror.sh does; that one says what failed.
works() {
	mirror_test >/dev/null
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

# A module that leaks on purpose: is it seen?
leak_is_seen() {
	echo "expect-report: 1 kmemleak: " >/dev/kmsg
	insmod /lib/modules/kmemleak-test.ko
	leak
	seen=$?
	echo "expect-report: end" >/dev/kmsg
	return $seen
}

ktap_print_header
ktap_set_plan 10

ktap_test_result "a parameter that is no number is refused" bad_parameter
ktap_test_result "the module loads" insmod $ko
ktap_test_result "the device is there" test -c /dev/mmu_mirror
ktap_test_result "the driver's tests pass" works

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

leak_result
if [ -e $kmemleak ]; then
	ktap_test_result "a leak would have been seen" leak_is_seen
else
	ktap_test_skip "a leak would have been seen: no kmemleak"
fi

ktap_finished
