#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# With lockdep, a socket of the link holds the module.

rdma link delete rxe0
