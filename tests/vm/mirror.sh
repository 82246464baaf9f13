#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# memory: 512M
# timeout: 180
#
# The sample driver as a user of it sees it.

insmod /lib/modules/rust_mmu_mirror.ko && exec ./mirror_test
