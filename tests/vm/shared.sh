#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# memory: 256M
#
# A module is unloaded while an object that it has put is still to be freed, and
# can't be when it has leaked its notifiers.

. ./helpers.inc

module=shared_unload
ko=/lib/modules/$module.ko
dev=/dev/shared_unload
rounds=20

failslab=/sys/kernel/debug/failslab
# How many allocations of one process are made to fail, one at a time. Of those
# in open() five or more are not absorbed: the file, the object, each notifier,
# and the data of the file.
faults=60
needed=5

# Its notifiers are for a process that exits immediately.
use() {
	(: <$dev)
}

# As use, with the nth allocation failing.
use_failing() {
	(echo $1 >/proc/self/fail-nth && : <$dev) 2>/dev/null
}

rounds() {
	i=0
	while [ $i -lt $rounds ]; do
		insmod $ko && use && unloaded || return
		i=$((i + 1))
	done
}

said() {
	dmesg | grep -c "shared_unload: $1"
}

freed() {
	[ $(said freed) = $rounds ]
}

# Its destructor waits for the second use.
slow() {
	# One reference belongs to the object, and one to the work item that
	# drops it.
	insmod $ko slow=1 && use && kept_soon 2 && use && unloaded
}

failing() {
	insmod $ko fail=1 && ! use 2>/tmp/use && grep -q "Input/output error" /tmp/use && rmmod $module
}

# Each allocation fails once.
fails_to_allocate() {
	echo 0 >$failslab/verbose
	echo 0 >$failslab/ignore-gfp-wait
	insmod $ko || return
	failed=0
	i=1
	while [ $i -le $faults ]; do
		use_failing $i || failed=$((failed + 1))
		i=$((i + 1))
	done
	echo "# $failed of $faults faults were errors"
	[ $failed -ge $needed ] && [ $failed -lt $faults ] && use && unloaded
}

in_init() {
	! insmod $ko in_init=1 2>/tmp/insmod && grep -q "resource busy" /tmp/insmod &&
		! grep -q $module /proc/modules
}

in_exit() {
	insmod $ko in_exit=1 && rmmod $module && [ $(said "none in exit") = 1 ]
}

leaks() {
	dmesg -c >/dev/null
	insmod $ko leak=1 && use
}

# One reference for each.
stays() {
	sleep 1
	kept 3
}

# The process that used it has exited, and so the address space is released.
released() {
	[ $(said released) = 1 ] && [ $(said "list notifier: released") = 1 ] &&
		[ $(said "interval notifier: released") = 1 ]
}

ktap_print_header
ktap_set_plan 10

result "it can be unloaded when the object is freed" rounds
result "every object was freed" freed
result "it can't be unloaded before" slow
result "notifiers that fail leave no reference" failing
result "nor do those for which there is no memory" fails_to_allocate
result "a module that can't be initialized waits for its notifiers" in_init
result "there are none when it is unloaded" in_exit
result "it leaks its notifiers" leaks
result "then it can't be unloaded" stays
result "and its callbacks can be called" released

ktap_finished
