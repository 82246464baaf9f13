#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Put the driver in /driver before one situation after another, see reap.c: those
# in $situations, or all. tools/reap.py reads what is printed, and begins a new
# guest after a situation that ends this one or spoils it for the next.

. ./helpers.inc

# Loads the driver anew, so that its counts begin with zero.
load() {
	cut -d " " -f 1 /proc/modules >/tmp/before
	if [ -e /driver/load.sh ]; then
		(cd /driver && sh load.sh) || return
	else
		for module in $(cat /driver/modules); do
			insmod /driver/$module.ko $(cat /driver/params) || return
		done
	fi
	# The newest comes first, and nothing needs it.
	while read -r name _; do
		grep -qx $name /tmp/before || echo $name
	done </proc/modules >/driver/loaded
}

unload() {
	if [ -e /driver/unload.sh ]; then
		(cd /driver && sh unload.sh) 2>&1 | sed "s/^/# unload: /"
	fi
	for module in $(cat /driver/loaded); do
		tries=0
		while [ -e /sys/module/$module ] && ! rmmod $module 2>/tmp/rmmod; do
			tries=$((tries + 1))
			[ $tries -lt $((slowness * 20)) ] || return
			sleep 0.1
		done
	done
}

# A swap device in memory, if the kernel has that.
swap_on() {
	[ -e /proc/swaps ] || return 0
	for module in zsmalloc lzo_compress lzo_decompress zram; do
		[ ! -e /lib/modules/$module.ko ] || [ -e /sys/module/$module ] ||
			insmod /lib/modules/$module.ko
	done
	[ -e /sys/block/zram0 ] || return 0
	echo 64M >/sys/block/zram0/disksize && mkswap /dev/zram0 >/dev/null &&
		swapon /dev/zram0 && : >/tmp/swap-is-on
}

swap_off() {
	[ -e /tmp/swap-is-on ] || return 0
	rm /tmp/swap-is-on
	swapoff /dev/zram0 && echo 1 >/sys/block/zram0/reset
}

# Whether the kernel has reported something: an oops, a warning, a lockup.
reported() {
	[ $(($(cat /proc/sys/kernel/tainted) & (1 << 7 | 1 << 9 | 1 << 14))) != 0 ] ||
		grep -qs "debug_locks: *0$" /proc/lockdep_stats
}

# put NAME: the driver before one situation, whose row is printed
put() {
	started $1
	echo "reap: $1" >/dev/kmsg
	if ! load >/tmp/load 2>&1; then
		sed "s/^/# load: /" /tmp/load
		echo "# problem the driver does not load: $(tail -n 1 /tmp/load)"
		exit 3
	fi
	case $1 in *swap* | *reclaim*) swap_on ;; esac
	./reap $1
	error=$?
	[ $error != 3 ] || exit 3
	swap_off
	unload && left=no || left="$module:$(cat /sys/module/$module/refcnt)"
	echo "# unload situation=$1 users_left=$left"
	echo "reap: end" >/dev/kmsg
	echo "ok 1 $1"
	# Something still runs, or holds the driver, or lockdep is off: it reports once.
	[ $error = 0 ] && [ $left = no ] && ! reported
}

# The OOM killer must not kill the bench.
echo -1000 >/proc/$$/oom_score_adj
# Off by default where there is less memory.
echo madvise >/sys/kernel/mm/transparent_hugepage/enabled
echo "# situations $(./reap -l | tr '\n' ' ')"
for situation in $(echo ${situations:-$(./reap -l)} | tr , " "); do
	put $situation || break
done
