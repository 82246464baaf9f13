#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# memory: 256M
#
# The OOM story, see oom_story.c: three ways to take the memory of a dying
# process, for the driver in four modes and for the HMM driver. `make demo`
# shows it as a table.

. ./helpers.inc
not_tried_first

ways=$(echo ${ways:-oom,memcg,mrelease} | tr , " ")
drivers=$(echo ${drivers:-lets-go,refuses,sleeps,never,hmm} | tr , " ")

# run WAY DRIVER: one story, with the driver loaded anew
run() {
	module=rust_mmu_mirror params=
	case $2 in
	refuses) params=refuse=3 ;;
	sleeps) params=sleep=1 ;;
	never) params=refuse=-1 ;;
	hmm) module=rust_hmm_mirror ;;
	esac
	started "$1 $2"
	if ! insmod /lib/modules/$module.ko $params; then
		ktap_test_fail "$1 $2: no driver"
		return
	fi

	echo "story: $1 $2" >/dev/kmsg
	[ $2 = sleeps ] &&
		echo "expect-report: 1 BUG: scheduling in a non-blocking section" >/dev/kmsg
	results oom_story $1 $2
	[ $2 = sleeps ] && echo "expect-report: end" >/dev/kmsg
	echo "story: end" >/dev/kmsg

	rmmod $module
}

# stories: the stories, one per line
stories() {
	for way in $ways; do
		for driver in $drivers; do
			# Without memory, and without another victim, the OOM
			# killer would kill us. In a cgroup it can't.
			[ "$way $driver" = "oom never" ] || echo $way $driver
		done
	done
}

ktap_print_header
ktap_set_plan $(stories | wc -l)

for story in $(stories | tr ' ' :); do
	run ${story%:*} ${story#*:}
done

ktap_finished
