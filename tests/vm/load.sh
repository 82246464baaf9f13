#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# memory: 512M
# timeout: 240
#
# Many processes and threads at once, see load.c, and whether any of it leaks.
# It takes `seconds`, which the kernel command line can set, as well as `seed`.

. ./ktap_helpers.sh

module=rust_mmu_mirror
kmemleak=/sys/kernel/debug/kmemleak

# results PROGRAM ...: run it, and count its results as ours
results() {
	mkfifo /tmp/results
	"$@" >/tmp/results &
	while read -r line; do
		name=${line#*ok * }
		case $line in
		ok\ *) ktap_test_pass "$name" ;;
		"not ok "*) ktap_test_fail "$name" ;;
		*) echo "$line" ;;
		esac
	done </tmp/results
	wait $!
}

# As in unload.sh, where it is also seen that a leak would be found.
no_leak() {
	echo scan >$kmemleak
	sleep 6
	echo scan >$kmemleak
	! grep -q unreferenced $kmemleak
}

ktap_print_header
ktap_set_plan 8

ktap_test_result "the module loads" insmod /lib/modules/$module.ko
results ./load ${seconds:-60} ${seed:-1}
ktap_test_result "it can be unloaded afterwards" rmmod $module

if [ -e $kmemleak ]; then
	ktap_test_result "nothing has leaked" no_leak
else
	ktap_test_skip "nothing has leaked: no kmemleak"
fi

ktap_finished
