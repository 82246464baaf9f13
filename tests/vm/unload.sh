#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# memory: 512M
#
# Loading and unloading the sample driver, and checking for remains.

. ./helpers.inc

module=rust_mmu_mirror
ko=/lib/modules/$module.ko

# All that mirror.sh does.
works() {
	mirror_test >/tmp/mirror_test 2>&1 && return
	grep -v " RUN \|   OK \|^ok" /tmp/mirror_test >&2
	return 1
}

gone() {
	[ ! -e /dev/mmu_mirror ] || { ls -l /dev/mmu_mirror >&2; return 1; }
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

result "a parameter that is no number is refused" fails "Invalid argument" insmod $ko refuse=often
result "the module loads" insmod $ko
result "the device is there" test -c /dev/mmu_mirror
result "the driver's tests pass" works

# A process that has memory mirrored, and still has when it is killed.
./hold_mirror &
holder=$!
while [ ! -e /tmp/holding ]; do sleep 0.1; done
result "it can't be unloaded while a process has it open" fails "Resource temporarily unavailable" rmmod $module
kill $holder
wait $holder

result "it can be unloaded afterwards" rmmod $module
result "the device is gone" gone
result "it loads and unloads again" again

leak_result
result "a leak would have been seen" leak_is_seen

ktap_finished
