#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# memory: 256M
# timeout: 120
#
# A module is unloaded while an object that it has put is still to be freed.

. ./ktap_helpers.sh

module=shared_unload
ko=/lib/modules/$module.ko
rounds=20

# Load the module, and unload it as soon as it lets us. In $refused is how
# often it did not.
rounds() {
	refused=0
	i=0
	while [ $i -lt $rounds ]; do
		insmod $ko || return
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

freed() {
	[ "$(dmesg | grep -c "shared_unload: freed")" = $rounds ]
}

stays() {
	sleep 1
	! rmmod $module 2>/tmp/rmmod && grep -q "Resource temporarily unavailable" /tmp/rmmod
}

# The process that loaded it exits, and so the address space is released.
released() {
	dmesg | grep -q "shared_unload: released"
}

ktap_print_header
ktap_set_plan 6

ktap_test_result "it can be unloaded when the object is freed" rounds
ktap_test_result "and not before" was_refused
ktap_test_result "every object was freed" freed
ktap_test_result "it loads with an object that it leaks" insmod $ko leak=1
ktap_test_result "then it can't be unloaded" stays
ktap_test_result "and its callbacks can be called" released

ktap_finished
