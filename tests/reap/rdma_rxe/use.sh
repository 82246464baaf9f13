#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# needs: /usr/bin/ibv_rc_pingpong /etc/libibverbs.d/rxe.driver /usr/lib/*/libibverbs/librxe-*.so
#
# Two programs of rdma-core send each other messages, in memory that the device
# pages on demand. The second of them is the process whose memory is taken away.

ping() {
	exec ibv_rc_pingpong --ib-dev=rxe0 --gid-idx=1 --odp --events --size=262144 --iters=1000000 "$@"
}

ping >/tmp/server 2>&1 &
until netstat -ltn | grep -q :18515; do sleep 0.1; done
ping 192.0.2.1 >/tmp/client 2>&1 &
client=$!
until rdma resource show qp | grep -q "state RTS.* pid $client "; do
	if ! kill -0 $client; then
		cat /tmp/server /tmp/client
		exit 1
	fi
	sleep 0.1
done
echo "ready pid=$client"
wait
