/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A process that was killed, and can't exit because one of its threads is held.
 */
#ifndef HELD_H
#define HELD_H

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define die(what)							\
	do {								\
		printf("Bail out! %s:%d: %s: %s\n", __FILE__, __LINE__,	\
		       what, strerror(errno));				\
		exit(1);						\
	} while (0)

/* The thread that is held, in memory that the processes share. */
static atomic_int *held;

static inline void nap(void)
{
	usleep(10000);
}

static inline void *held_thread(void *unused)
{
	*held = gettid();
	for (;;)
		pause();
}

/* Makes the thread stop on its way out, while it still has the memory. */
static inline void hold(pid_t tid)
{
	if (ptrace(PTRACE_SEIZE, tid, NULL, PTRACE_O_TRACEEXIT))
		die("PTRACE_SEIZE");
}

static inline void wait_until_held(pid_t tid)
{
	int status = 0;

	/* It may have been stopped before. */
	while (status >> 8 != (SIGTRAP | (PTRACE_EVENT_EXIT << 8))) {
		if (waitpid(tid, &status, __WALL) != tid)
			die("waitpid");
		if (!WIFSTOPPED(status)) {
			errno = 0;
			die("the thread was not held");
		}
	}
}

#endif /* HELD_H */
