#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# The shell itself opens the device, which then uses the memory of its process.

exec 3</dev/careless
# The storms need four pages, which may have 16 KiB each.
memory=$(seq 50000)
echo ready
# Nothing comes.
read -r _
