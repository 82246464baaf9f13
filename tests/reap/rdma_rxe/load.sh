#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# needs: /usr/*bin/rdma
#
# RDMA in software (rxe) on a network that is only in the guest.

set -e
for module in dummy udp_tunnel dimlib ib_core ib_uverbs_support ib_uverbs rdma_rxe; do
	insmod /lib/modules/$module.ko
done
ip link set lo up
ip addr add 192.0.2.1/24 dev dummy0
ip link set dummy0 up
rdma link add rxe0 type rxe netdev dummy0
