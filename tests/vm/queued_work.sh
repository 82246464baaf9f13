#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# memory: 256M
#
# A module is unloaded with work items queued that are its own. They wait for a
# command, so an earlier attempt surely fails.

. ./helpers.inc

module=queued_work
ko=/lib/modules/$module.ko
dev=/dev/queued_work
rounds=20

# command WORD...: write commands to one file in a process that then exits
command() {
	(
		exec 3>$dev || exit
		for word in "$@"; do echo $word >&3 || exit; done
	)
}

# keeps USERS COMMAND...: the remains of the commands keep the module
keeps() {
	users=$1
	shift
	insmod $ko && command "$@" && kept $users && command go && unloaded
}

# As keeps, but the one that writes the commands can't exit before they are through.
keeps_open() {
	users=$1
	shift
	insmod $ko || return
	command "$@" &
	kept_soon $users && command go && wait && unloaded
}

# Two processes queue one work item as fast as they can.
race() {
	i=0
	while [ $i -lt $rounds ]; do
		insmod $ko && command go || return
		(exec 3>$dev; echo race >&3 & echo race >&3; wait)
		command again watch drop &
		unloaded || return
		wait
		i=$((i + 1))
	done
}

said() {
	dmesg | grep -q "queued_work: $1"
}

fails_to_load() {
	! insmod $ko in_init=1 fail=1 2>/tmp/insmod && grep -q "resource busy" /tmp/insmod &&
		! grep -q $module /proc/modules && said "init: ran, None"
}

queues_in_exit() {
	insmod $ko in_exit=1 && rmmod $module && said "exit: ran, Some(ENODEV)"
}

ktap_print_header
ktap_set_plan 11

result "a work item keeps its module" keeps 1 queue
result "so does one that is delayed" keeps 1 delay
result "and one that is a closure" keeps 1 spawn
result "and one that queues itself" keeps 1 again
result "and one that was queued while it ran" keeps 2 busy
result "and one that callbacks queued, maybe while it ran" keeps "[12]" watch
result "and one that drops notifiers, with all that these keep" keeps 3 drop
result "so does a file that drops notifiers" keeps_open 3 slow
result "no reference is lost, and none is left" race
result "a module that can't be initialized waits for its work items" fails_to_load
result "and so does one that is unloaded" queues_in_exit

ktap_finished
