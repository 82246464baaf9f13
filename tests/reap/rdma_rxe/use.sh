#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# needs: /usr/bin/ibv_rc_pingpong /etc/libibverbs.d/rxe.driver /usr/lib/*/libibverbs/librxe-*.so
#
# Two programs of rdma-core send each other messages, in memory that the device
# pages on demand. The second of them is the process whose memory is taken away.

ping() {
	exec ibv_rc_pingpong --ib-dev=rxe0 --gid-idx=1 --odp --events --size=262144 --iters=1000000 "$@"
}

# wait_for PID COMMAND...: until the command succeeds, as long as the process lives
wait_for() {
	pid=$1
	shift
	until "$@"; do
		if ! kill -0 $pid 2>/dev/null; then
			cat /tmp/server /tmp/client
			exit 1
		fi
		sleep 0.1
	done
}

listens() {
	netstat -ltn 2>/dev/null | grep -q :18515
}

sends() {
	rdma resource show qp | grep -q "state RTS.* pid $client "
}

: >/tmp/client
ping >/tmp/server 2>&1 &
wait_for $! listens
ping 192.0.2.1 >/tmp/client 2>&1 &
client=$!
wait_for $client sends
echo "ready pid=$client"
wait
