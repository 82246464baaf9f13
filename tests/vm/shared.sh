#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# memory: 256M
# timeout: 120
#
# A module is unloaded while an object that it has put is still to be freed, and
# can't be when it has leaked its notifiers.

. ./ktap_helpers.sh

module=shared_unload
ko=/lib/modules/$module.ko
dev=/dev/shared_unload
rounds=20

# Its notifiers are for a process that exits at once.
use() {
	(: <$dev)
}

# Load the module, use it, and unload it as soon as it lets us. In $refused is
# how often it did not.
rounds() {
	refused=0
	i=0
	while [ $i -lt $rounds ]; do
		insmod $ko && use || return
		tries=0
		until rmmod $module 2>/tmp/rmmod; do
			grep -q "Resource temporarily unavailable" /tmp/rmmod || return
			refused=$((refused + 1))
			tries=$((tries + 1))
			[ $tries -lt 500 ] || return
		done
		i=$((i + 1))
	done
}

# Else the test is of nothing.
was_refused() {
	[ $refused -gt 0 ]
}

said() {
	dmesg | grep -c "shared_unload: $1"
}

freed() {
	[ $(said freed) = $rounds ]
}

not_in_init() {
	! insmod $ko in_init=1 2>/tmp/insmod && grep -q "No such device" /tmp/insmod
}

leaks() {
	insmod $ko leak=1 && use
}

# One reference for each.
stays() {
	sleep 1
	! rmmod $module 2>/tmp/rmmod && grep -q "Resource temporarily unavailable" /tmp/rmmod &&
		[ $(cat /sys/module/$module/refcnt) = 3 ]
}

# The process that used it has exited, and so the address space is released.
released() {
	[ $(said released) = 1 ] && [ $(said "list notifier: released") = 1 ] &&
		[ $(said "interval notifier: released") = 1 ]
}

ktap_print_header
ktap_set_plan 7

ktap_test_result "it can be unloaded when the object is freed" rounds
ktap_test_result "and not before" was_refused
ktap_test_result "every object was freed" freed
ktap_test_result "there is no notifier before it is initialized" not_in_init
ktap_test_result "it leaks its notifiers" leaks
ktap_test_result "then it can't be unloaded" stays
ktap_test_result "and its callbacks can be called" released

ktap_finished
