#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# memory: 256M
#
# Drivers with a mistake in their non-blocking callback, which a munmap() finds:
# see CONFIG_DEBUG_MMU_NOTIFIER.

. ./helpers.inc

table=/sys/kernel/debug/mmu_notifier
try_first=/sys/module/mmu_notifier/parameters/try_first

# reported DEVICE [REPORT]: whether the kernel reports that its driver sleeps, and this
reported() {
	for report in "BUG: scheduling in a non-blocking section" "$2"; do
		[ -n "$report" ] && echo "expect-report: 1 $report" >/dev/kmsg
	done
	notified $1
	error=$?
	echo "expect-report: end" >/dev/kmsg
	return $error
}

# called CALLBACK COUNTS: whether the row of the callback has these counts: of
# the calls that may block, of those that must not, and of refusals
called() {
	row=$(grep "$1" $table) || { cat $table >&2; return 1; }
	echo "# $row"
	set -- "$2" $row
	is "calls of $7" "$1" "$3 $4 $5"
}

# forgotten: whether there is a table, and no row of a callback without a name,
# as those of a module are that is gone
forgotten() {
	[ -r $table ] && ! grep " 0x[0-9a-f]*$" $table >&2
}

# named CALLBACK: whether the log has its refusal
named() {
	dmesg | grep -q "$1.* callback failed with -11 in non-blockable context" ||
		{ dmesg | grep "callback failed" >&2; return 1; }
}

ktap_print_header
ktap_set_plan 13

echo 1 >$try_first
mirror=rust_mmu_mirror

result "a driver that sleeps loads" insmod /lib/modules/$mirror.ko sleep=1
result "it is reported at the first munmap()" reported mirror
result "it was called once, without blocking" called $mirror "0 1 0"
result "it is unloaded" rmmod $mirror
result "what it did is forgotten" forgotten

result "a driver that refuses loads" insmod /lib/modules/$mirror.ko refuse=-1
result "munmap() works with it" notified mirror
result "it was called again" called $mirror "1 1 1"
result "it is named in the log" named $mirror

echo 0 >$try_first
result "nothing is tried" notified mirror
result "it was called once more" called $mirror "2 1 1"

echo 1 >$try_first
result "a driver in C loads" insmod /lib/modules/slow_mmu_notifier.ko careless=1 wait_ms=20
result "it is reported, too" reported slow "BUG: sleeping function called from invalid context"

ktap_finished
