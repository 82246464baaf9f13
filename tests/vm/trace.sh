#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# memory: 256M
#
# The tracepoints of MMU notifiers, used as Documentation/mm/rust-mmu-notifiers.rst
# shows it.

. ./helpers.inc

tracing=/sys/kernel/tracing
events=$tracing/events/mmu_notifier
mirror=rust_mmu_mirror

# traced PATTERN: whether the trace has the line
traced() {
	grep -q "$1" $tracing/trace || { cat $tracing/trace >&2; return 1; }
}

# calm: end tracing, and empty the trace
calm() {
	echo 0 >$events/enable
	echo >$tracing/trace
}

ktap_print_header
ktap_set_plan 15

result "the driver loads" insmod /lib/modules/$mirror.ko refuse=1
result "so does the one that waits" insmod /lib/modules/slow_mmu_notifier.ko list=1 wait_ms=3000

echo 1 >$events/enable
notified mirror
result "a notifier comes" traced "mmu_notifier_insert: .*$mirror.* deferred=0"
result "an invalidation starts" traced "mmu_notifier_start: mm=[0-9a-f]* range=0x[0-9a-f]*-0x[0-9a-f]* event=unmap blockable=1"
result "its notifier is called" traced "mmu_notifier_callback: .*$mirror.* event=unmap blockable=1 refused=0 ns=[1-9]"
result "how many were called" traced "mmu_notifier_started: .* intervals=1 lists=0 ret=0"
result "it ends" traced "mmu_notifier_end: .* event=unmap blockable=1"
result "the notifier goes" traced "mmu_notifier_remove: .*$mirror.* deferred=0"
calm

# Which callback refused the reaper?
echo "refused == 1" >$events/mmu_notifier_callback/filter
echo 1 >$events/mmu_notifier_callback/enable
echo 1 >/sys/module/mmu_notifier/parameters/try_first
notified mirror
echo 0 >/sys/module/mmu_notifier/parameters/try_first
result "the one that refuses is shown" traced "mmu_notifier_callback: .*$mirror.* blockable=0 refused=1"
result "and nothing else" is lines 1 "$(grep -c mmu_notifier_callback: $tracing/trace)"
echo 0 >$events/mmu_notifier_callback/filter
calm

# Who takes long?
echo 'hist:keys=fn.sym:vals=ns:sort=ns.descending' >$events/mmu_notifier_callback/trigger
for event in collision insert remove; do
	echo 1 >$events/mmu_notifier_$event/enable
done
result "a look-up meets an invalidation" notified collide
result "the reader that waited is shown" traced "mmu_notifier_collision: .*$mirror.* ns=[1-9][0-9]\{6\}"
result "one that comes meanwhile is deferred" traced "mmu_notifier_insert: .*$mirror.* deferred=1"
result "one that goes meanwhile is deferred" traced "mmu_notifier_remove: .*$mirror.* deferred=1"
first=$(grep -m 1 "^{ fn:" $events/mmu_notifier_callback/hist)
slowest=".*slow_mmu_notifier.*ns: *[0-9]\{9\}"
result "the slowest callback comes first" expr "$first" : "$slowest"

ktap_finished
