#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# memory: 192M
# timeout: 240
#
# The OOM story, see oom_story.c: three ways to ask for the memory of a dying
# process, and four drivers that are asked. Also what `make demo` shows.

ways=$(echo ${ways:-oom,memcg,mrelease} | tr , " ")
drivers=$(echo ${drivers:-lets-go,refuses,sleeps,never} | tr , " ")

# run WAY DRIVER: one story, with the driver loaded anew
run() {
	case $2 in
	lets-go) params= ;;
	refuses) params=refuse=3 ;;
	sleeps) params=sleep=1 ;;
	never) params=refuse=-1 ;;
	esac
	insmod /lib/modules/rust_mmu_mirror.ko $params || return

	echo "story: $1 $2" >/dev/kmsg
	[ $2 = sleeps ] &&
		echo "expect-report: 1 BUG: scheduling in a non-blocking section" >/dev/kmsg
	# Count the result ourselves: each run prints it as number 1.
	oom_story $1 $2 | sed "s/ok 1 /ok $number /"
	[ $2 = sleeps ] && echo "expect-report: end" >/dev/kmsg
	echo "story: end" >/dev/kmsg

	rmmod rust_mmu_mirror
}

set -- $ways
total=$#
set -- $drivers
echo "TAP version 13"
echo "1..$((total * $#))"

number=1
for way in $ways; do
	for driver in $drivers; do
		run $way $driver
		number=$((number + 1))
	done
done
