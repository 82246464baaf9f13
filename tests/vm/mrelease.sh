#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# memory: 256M
# timeout: 60
#
# Memory is asked for by process_mrelease(2), and one of two notifiers refuses.

insmod /lib/modules/rust_mmu_mirror.ko && insmod /lib/modules/list_refuses.ko || exit
mrelease
code=$?
# A process that hangs keeps the mirror.
[ $code != 0 ] || { rmmod list_refuses && rmmod rust_mmu_mirror; } || code=$?
exit $code
