#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# memory: 1G
#
# The kernel's own tests of mm, tools/testing/selftests/mm: each must have the
# same results with a device attached to each of its processes as without. See
# attach.c. A test may fail without the device, too, for want of an option.
#
# A test runs on one CPU. Otherwise some have other results every 60th time,
# also without the device: a page that is in a batch of another CPU, on its way
# to the LRU lists, has one reference more and cannot be swapped out.

. ./helpers.inc

export ATTACH_COUNT=/tmp/compared

# run TEST: its results, without numbers, which are times or addresses
run() {
	(cd mm && timeout $((60 * slowness)) taskset 1 ./$1 >/tmp/output 2>&1)
	echo "exit code $?"
	grep "^\(not \)\?ok " /tmp/output | sed "s/0x[0-9a-f]*\|[0-9]\+/N/g"
}

# same TEST: whether it has the same results without a device and with
same() {
	run $1 >/tmp/without
	: >$ATTACH_COUNT
	LD_PRELOAD=/tests/attach.so run $1 >/tmp/with
	pages=$(wc -c <$ATTACH_COUNT)
	echo "# | $1: $(grep -c "^ok" /tmp/with) ok, $(grep -c "^not" /tmp/with) not ok;" \
		"the device read $pages pages like the CPU"
	if ! diff /tmp/without /tmp/with >&2; then
		tail -n 40 /tmp/output >&2
		return 1
	fi
	grep -q "^ok" /tmp/with || { echo "no test is ok" >&2; return 1; }
	[ $pages -gt 0 ] || { echo "the device has read nothing" >&2; return 1; }
}

ktap_print_header
ktap_set_plan $((1 + $(ls mm | wc -l)))

result "the driver loads" insmod /lib/modules/rust_mmu_mirror.ko
for test in $(ls mm); do
	result "$test" same $test
done

ktap_finished
