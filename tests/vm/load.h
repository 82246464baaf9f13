/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The memory, the counters and the checks of load.c.
 */
#ifndef _LOAD_H
#define _LOAD_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kselftest.h"
#include "mirror.h"
#include "page.h"

#define PAGE		page_size()
#define PATTERN_PAGES	4	/* at most 16, see is_pattern() */
#define OWN_PAGES	8	/* of each of two threads */
#define CHAOS_PAGES	32	/* likewise */
#define PAGES		(PATTERN_PAGES + 2 * OWN_PAGES + 2 * CHAOS_PAGES)

#define MIRRORS		4	/* of all of it; and one more of each OWN_PAGES */
#define MARK		0xff	/* of a child's memory */

enum event {
	READS, WRITES, PREFETCHES, UNMAPS, MOVES, PROTECTS, DISCARDS, MAPS,
	FORKS, EXECS, EXITS, KILLS, REAPED, AGAIN, TOO_LATE,
	/* What the devices have counted, which is added up when they are closed. */
	FAULTS, RETRIES, INVALIDATIONS, NONBLOCK, REFUSED, DROPPED, NEVENTS
};

/* How many there have to be in a minute, or little was tried. */
static const struct {
	const char *name;
	unsigned int least;
} events[NEVENTS] = {
	[READS] = { "reads by a device", 2000 },
	[WRITES] = { "writes by a device", 1000 },
	[PREFETCHES] = { "prefetches", 500 },
	[UNMAPS] = { "munmap", 200 },
	[MOVES] = { "mremap", 100 },
	[PROTECTS] = { "mprotect", 200 },
	[DISCARDS] = { "madvise", 1000 },
	[MAPS] = { "mirrors", 300 },
	[FORKS] = { "fork", 30 },
	[EXECS] = { "exec", 15 },
	[EXITS] = { "exit with running threads", 5 },
	[KILLS] = { "kill", 20 },
	[REAPED] = { "process_mrelease", 20 },
	[AGAIN] = { "process_mrelease: EAGAIN", 0 },
	[TOO_LATE] = { "process_mrelease: ESRCH", 0 },
	[FAULTS] = { "pages looked up", 3000 },
	/* Few on a busy machine, which runs one thread after the other. */
	[RETRIES] = { "look-ups overtaken", 20 },
	[INVALIDATIONS] = { "callbacks", 1000 },
	[NONBLOCK] = { "non-blocking callbacks", 100 },
	[REFUSED] = { "non-blocking: refused", 0 },
	[DROPPED] = { "pages dropped by callbacks", 2000 },
};

enum what { SAME_MEMORY, OWN_MEMORY, LET_GO, ADDS_UP, NCHECKS };

static const char *const checks[NCHECKS] = {
	[SAME_MEMORY] = "the devices and the process see the same memory",
	[OWN_MEMORY] = "a child's memory is its own",
	[LET_GO] = "what is unmapped or dead is not mirrored",
	[ADDS_UP] = "the counts add up",
};

/* Shared between the processes. */
static struct {
	atomic_ullong events[NEVENTS], checked[NCHECKS], wrong[NCHECKS];
	atomic_int stop, ready;
} *shared;

struct thread {
	void (*step)(struct thread *t);
	int index;
	unsigned int seed;
	pthread_t id;
};

static unsigned int pick(struct thread *t, unsigned int below)
{
	return rand_r(&t->seed) % below;
}

static void loop(struct thread *t)
{
	while (!shared->stop)
		t->step(t);
}

/* The pattern pages, those of one thread each, and those that come and go. */
static unsigned char *arena;
static int mirrors[MIRRORS + 2];

static unsigned char *own(int index)
{
	return arena + (PATTERN_PAGES + index * OWN_PAGES) * PAGE;
}

static unsigned char *chaos(int index)
{
	return own(2) + index * CHAOS_PAGES * PAGE;
}

/* A byte of a pattern page: its page's number, and how often it was filled. */
static unsigned char pattern(int index, unsigned int times)
{
	return index << 4 | (times % 14 + 1);
}

static int is_pattern(const unsigned char *addr, unsigned char byte)
{
	return !byte || (byte != MARK && byte >> 4 == (addr - arena) / PAGE && byte & 15);
}

static void check(enum what what, const char *func, int line, int good,
		  const char *text, unsigned long long got)
{
	int error = errno;

	shared->checked[what]++;
	/* Without stdio, whose lock another thread may have had at a fork. */
	if (!good && shared->wrong[what]++ < 5)
		dprintf(STDOUT_FILENO, "# wrong: %s, line %d, pid %d, errno %d: expected %s, got %llu\n",
			func, line, getpid(), error, text, got);
}

#define CHECK(what, good)						\
	check(what, __func__, __LINE__, !!(good), #good, 0)

/* As CHECK(), of a number: `operator` is == or >=. */
#define COMPARE(what, number, operator, expected)			\
	do {								\
		unsigned long long _got = (number), _than = (expected);	\
		char _text[128];					\
									\
		snprintf(_text, sizeof(_text), "%s %s %llu", #number,	\
			 #operator, _than);				\
		check(what, __func__, __LINE__, _got operator _than,	\
		      _text, _got);					\
	} while (0)

static int count(enum event event, int ret)
{
	shared->events[event] += !ret;
	return ret;
}

/* Adds to @sum the counts of a device. */
static void add(atomic_ullong *sum, const struct mmu_mirror_stats *stats)
{
	sum[FAULTS] += stats->faults;
	sum[RETRIES] += stats->retries;
	sum[INVALIDATIONS] += stats->invalidations;
	sum[NONBLOCK] += stats->nonblock;
	sum[REFUSED] += stats->refused;
	sum[DROPPED] += stats->dropped;
}

static void total(const struct mmu_mirror_stats *stats)
{
	add(shared->events, stats);
}

/* A pattern page, as all devices see it. */
static void check_pattern(unsigned char *addr, unsigned char byte)
{
	unsigned char seen = ~byte;
	int i;

	for (i = 0; i < MIRRORS; i++) {
		CHECK(SAME_MEMORY, !count(READS, mirror_read(mirrors[i], addr, &seen, 1)));
		COMPARE(SAME_MEMORY, seen, ==, byte);
	}
}

static void share(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		ksft_exit_fail_msg("mmap: %s\n", strerror(errno));
}

/* Whether @seen is enough for a run of that length. */
static int enough(const atomic_ullong *seen, unsigned int seconds)
{
	int i;

	for (i = 0; i < NEVENTS; i++)
		if (seen[i] < events[i].least * seconds / 60)
			return 0;
	return 1;
}

/* Whether there was enough by now, with the counts of the devices that are open. */
static int enough_yet(unsigned int seconds)
{
	struct mmu_mirror_stats stats;
	atomic_ullong seen[NEVENTS];
	int i;

	for (i = 0; i < NEVENTS; i++)
		seen[i] = shared->events[i];
	for (i = 0; i < MIRRORS + 2; i++) {
		stats = mirror_stats(mirrors[i]);
		add(seen, &stats);
	}
	return enough(seen, seconds);
}

/* Prints what was counted and the results; whether all is well. */
static int report(unsigned int seconds)
{
	int good = 1, i;

	ksft_print_msg("%-28s %10s %8s\n", "", "seen", "at least");
	for (i = 0; i < NEVENTS; i++)
		ksft_print_msg("%-28s %10llu %8u\n", events[i].name,
			       shared->events[i], events[i].least * seconds / 60);
	for (i = 0; i < NCHECKS; i++) {
		int right = shared->checked[i] && !shared->wrong[i];

		ksft_print_msg("%llu checks, %llu wrong\n", shared->checked[i], shared->wrong[i]);
		ksft_test_result(right, "%s\n", checks[i]);
		good &= right;
	}
	ksft_test_result(enough(shared->events, seconds), "there was enough of everything\n");
	return good && enough(shared->events, seconds);
}

#endif /* _LOAD_H */
