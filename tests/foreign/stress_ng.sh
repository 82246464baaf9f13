#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# memory: 1G
#
# stress-ng, which knows no drivers: each stressor must end as well with a
# device attached to each of its processes as without. See attach.c.

. ./helpers.inc

export ATTACH_COUNT=/tmp/compared

# stress STRESSOR OPS OPTION ...: run it, each time the same
stress() {
	stressor=$1 ops=$2
	shift 2
	timeout $((60 * slowness)) stress-ng --temp-path /tmp --quiet --seed 1 \
		--verify --$stressor 1 --$stressor-ops $ops "$@" 2>&1
}

# attached COMMAND ...: run it with a device for each of its processes
attached() {
	LD_PRELOAD=/tests/attach.so "$@"
}

# same STRESSOR OPS OPTION ...: whether it ends well, without a device and with
same() {
	stress "$@" >/tmp/output || { cat /tmp/output >&2; return 1; }
	: >$ATTACH_COUNT
	attached stress "$@" >/tmp/output || { cat /tmp/output >&2; return 1; }
	pages=$(wc -c <$ATTACH_COUNT)
	echo "# | $stressor: the device read $pages pages like the CPU"
	[ $pages -gt 0 ] || { echo "the device has read nothing" >&2; return 1; }
}

# in_cgroup COMMAND ...: run it with less memory than it needs, so that it swaps
in_cgroup() {
	(
		echo 0 >/sys/fs/cgroup/little/cgroup.procs
		"$@"
	)
}

# swapped: whether a page was
swapped() {
	grep -q "^pswpout [1-9]" /proc/vmstat || { cat /proc/swaps >&2; return 1; }
}

# found: whether a device that reads something else is
found() {
	echo "expect-report: 1 WARNING: attach: the device reads something else" >/dev/kmsg
	ATTACH_WRONG=1 attached stress munmap 5 >/tmp/output
	error=$?
	echo "expect-report: end" >/dev/kmsg
	[ $error != 0 ] || { cat /tmp/output >&2; return 1; }
}

ktap_print_header
ktap_set_plan 16

result "the driver loads" insmod /lib/modules/rust_mmu_mirror.ko
for module in zsmalloc lzo_compress lzo_decompress zram; do
	[ ! -e /lib/modules/$module.ko ] || insmod /lib/modules/$module.ko
done
echo 256M >/sys/block/zram0/disksize
mkswap /dev/zram0 >/dev/null
result "there is swap" swapon /dev/zram0
echo 1 >/sys/kernel/mm/ksm/run
mkdir /sys/fs/cgroup/little
echo "+memory" >/sys/fs/cgroup/cgroup.subtree_control
echo 24M >/sys/fs/cgroup/little/memory.max

result "mmap" same mmap 2 --mmap-bytes 1M
result "munmap" same munmap 4
result "mremap" same mremap 20 --mremap-bytes 1M
result "mprotect" same mprotect 50
result "fork" same fork 10 --fork-vm
result "brk" same brk 200
result "bigheap" same bigheap 200 --bigheap-growth 64K
result "userfaultfd" same userfaultfd 500 --userfaultfd-bytes 1M
result "remap" same remap 5
result "pagemove" same pagemove 5 --pagemove-bytes 1M
result "vm, merged by KSM" same vm 50 --vm-bytes 4M --vm-madvise mergeable
# With more memory, stress-ng works in a loop of the OOM killer.
result "vm, swapped" in_cgroup same vm 20 --vm-bytes 22M
result "pages were swapped" swapped
result "a device that reads something else is found" found

ktap_finished
