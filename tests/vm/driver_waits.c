// SPDX-License-Identifier: GPL-2.0
/*
 * Processes with memory in use by drivers that cannot give it back immediately.
 * All of them are killed together, and none can exit because one of its threads
 * is held: only the reaper can free their memory.
 *
 * usage: driver_waits oom|memcg|mrelease|ten
 *
 * The argument is the way to reap the memory, as in oom_story.c. A form is the
 * driver in C, in Rust, or in Rust with notifiers that make refusals good. The
 * last is left out if the reaper waits for drivers that it gave up on:
 * vm.oom_reaper_waits, and PROCESS_MRELEASE_WAIT. Then there is also "ten": ten
 * victims, with and without one whose driver never returns.
 *
 * Prints a KTAP result for each, preceded by a line "# waits key=value ...".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lib/tests/rust/driver_waits.h>

#include "expect.h"
#include "held.h"
#include "oom.h"

#define TRIES		10		/* that the reaper makes */
#define FOREVER		3600000UL
#define CGROUP		"/sys/fs/cgroup/waits"
#define REAPER_WAITS	"/proc/sys/vm/oom_reaper_waits"
#ifndef PROCESS_MRELEASE_WAIT
#define PROCESS_MRELEASE_WAIT	1
#endif
static const struct driver {
	const char *name;
	unsigned long notifiers;
	unsigned long busy;
	unsigned long wait;
	unsigned long flags;
	unsigned long hold;	/* for how long its lock is held */
} drivers[] = {
	{ "waits", 2, 1, 300, 0, 0 },
	{ "refuses", 2, 1, 0, DRIVER_WAITS_REFUSES, 0 },
	{ "holds", 2, 0, 0, 0, 300 },
	{ "many", 1000, 10, 30, 0, 0 },
};

/* A driver that does not answer before somebody else lets it. */
static const struct driver never = { "never", 2, 0, 0, 0, FOREVER };

enum form { C, RUST, DEFERRING, FORMS };

static const char * const forms[] = { "c", "rust", "deferring" };

struct victim {
	const struct driver *driver;
	enum form form;
	int device;
	pid_t pid;
	pid_t holder;		/* holds the lock of the driver */
	pthread_t releaser;	/* calls process_mrelease(2) */
	atomic_int eagain;	/* how often that was refused */
	atomic_int held;	/* the thread that is held */
	atomic_int ready;	/* the driver uses the memory */
	int done;
	int reaped;
	double first;		/* when the first try was seen */
	double last;		/* when the last one was */
	double back;		/* when the memory was back */
	struct driver_waits_stats stats;
};

/* Shared between the processes. */
static struct {
	atomic_int enough;	/* the hog need not go on */
	struct victim victims[FORMS * 4];
} *shared;

static int count;		/* of the victims */
static int memcg, by_hand;
static int reaper_waits;

static struct driver_waits_stats stats(struct victim *v)
{
	struct driver_waits_stats stats;

	if (ioctl(v->device, DRIVER_WAITS_STATS, &stats))
		die("DRIVER_WAITS_STATS");
	return stats;
}

/* How often the cgroup was out of memory. */
static long memcg_ooms(void)
{
	return sum(CGROUP "/memory.events", "oom %ld");
}

static void enter_cgroup(const char *name)
{
	char path[64];

	if (by_hand)
		return;
	snprintf(path, sizeof(path), CGROUP "/%s/cgroup.procs", name);
	write_file(path, "0");
}

/* The memory of a victim: each notifier is for a page at least. */
static size_t length(const struct driver *driver)
{
	return driver->notifiers > 64 ? 1024 * page_size() : 1 * MiB;
}

/*
 * The limit of the cgroup: twice what the victims have, and 6 MiB for the kernel.
 * With too little memory the whole system is out of it before the cgroup.
 */
static size_t cgroup_max(void)
{
	size_t sum = 0;

	for (size_t i = 0; i < sizeof(drivers) / sizeof(*drivers); i++)
		sum += FORMS * length(&drivers[i]);
	return 2 * sum + 6 * MiB;
}

/* A process that is to lose its memory. */
static void be_victim(struct victim *v)
{
	size_t len = length(v->driver);
	struct driver_waits_use use = {
		.len = len,
		.notifiers = v->driver->notifiers,
		.busy = v->driver->busy,
		.wait = v->driver->wait,
		.flags = v->driver->flags |
			 (v->form == DEFERRING ? DRIVER_WAITS_DEFERS : 0),
	};
	pthread_t thread;
	char *mem;

	enter_cgroup("victims");
	/* Whatever others have, these are killed first. */
	write_file("/proc/self/oom_score_adj", "1000");
	mem = private_memory(len);
	/* If a page was moved, the driver would be called before its time. */
	if (mlock(mem, len))
		die("mlock");
	use.addr = (uintptr_t)mem;
	if (ioctl(v->device, DRIVER_WAITS_USE, &use))
		die("DRIVER_WAITS_USE");
	held = &v->held;
	if (pthread_create(&thread, NULL, held_thread, NULL))
		die("pthread_create");
	while (!v->held)
		nap();
	v->ready = 1;
	for (;;)
		pause();
}

static void start(struct victim *v)
{
	pid_t pid;

	v->device = open(v->form == C ? "/dev/driver_waits_twin" :
			 "/dev/driver_waits", O_RDWR);
	if (v->device < 0)
		die("/dev/driver_waits");
	pid = fork();
	if (!pid)
		be_victim(v);
	v->pid = pid;
	while (!v->ready) {
		if (waitpid(v->pid, NULL, WNOHANG))
			exit(1);
		nap();
	}
	hold(v->held);
	if (!v->driver->hold)
		return;
	pid = fork();
	if (!pid)
		exit(ioctl(v->device, DRIVER_WAITS_HOLD, v->driver->hold));
	v->holder = pid;
	while (!stats(v).held)
		nap();
}

/*
 * On a busy machine, the holder of the lock or the work item may not get to run
 * for as long as ten tries take.
 */
static void let_driver_run(struct victim *v)
{
	double limit = now() + patience();
	struct driver_waits_stats seen;

	do {
		nap();
		seen = stats(v);
	} while ((seen.held || (v->form == DEFERRING && seen.in_use)) &&
		 now() < limit);
}

static void *mrelease(void *victim)
{
	struct victim *v = victim;
	int pidfd = syscall(SYS_pidfd_open, v->pid, 0);

	if (pidfd < 0)
		die("pidfd_open");
	/* As often as the OOM reaper would try, and as fast. */
	while (syscall(SYS_process_mrelease, pidfd, 0)) {
		if (errno != EAGAIN)
			die("process_mrelease");
		if (++v->eagain == TRIES) {
			if (reaper_waits)
				syscall(SYS_process_mrelease, pidfd,
					PROCESS_MRELEASE_WAIT);
			break;
		}
		usleep(100000);
		if (v->eagain == TRIES / 2)
			let_driver_run(v);
	}
	close(pidfd);
	return NULL;
}

/* Has all victims killed, and returns the hog if there is one. */
static pid_t kill_all(void)
{
	pid_t hog_pid = 0;
	int i;

	if (by_hand) {
		for (i = 0; i < count; i++)
			kill(shared->victims[i].pid, SIGKILL);
	} else {
		hog_pid = fork();
		if (!hog_pid) {
			enter_cgroup("hog");
			hog(&shared->enough);
		}
	}
	for (i = 0; i < count; i++)
		wait_until_held(shared->victims[i].held);
	shared->enough = 1;
	for (i = 0; by_hand && i < count; i++)
		if (pthread_create(&shared->victims[i].releaser, NULL, mrelease,
				   &shared->victims[i]))
			die("pthread_create");
	return hog_pid;
}

/* Looks whether the memory of a victim is back, or the reaper has given up. */
static void look(struct victim *v)
{
	unsigned long tries = v->stats.tries;

	if (v->done)
		return;
	v->stats = stats(v);
	v->back = now();
	if (!tries && v->stats.tries)
		v->first = v->back;
	if (tries != v->stats.tries)
		v->last = v->back;
	v->reaped = v->stats.tries && !anon_kb(v->held);
	/* The last try may have come in between. */
	if (v->reaped)
		v->stats = stats(v);
	/* The last try may be on its way. */
	v->done = v->reaped || (!reaper_waits && v->stats.tries == TRIES &&
				v->back > v->last + patience() / 40.);
}

/*
 * Waits for all victims, except for one that may be stuck, for as long as there
 * is something new. The reaper takes one after the other.
 */
static void wait_for_all(const struct victim *stuck)
{
	unsigned long news = 0, before;
	double limit = 0;
	int left, i;

	do {
		nap();
		before = news;
		for (left = 0, news = 0, i = 0; i < count; i++) {
			look(&shared->victims[i]);
			news += shared->victims[i].stats.tries +
				shared->victims[i].done;
			left += !shared->victims[i].done &&
				&shared->victims[i] != stuck;
		}
		if (!limit || news != before)
			limit = now() + patience();
	} while (left && now() < limit);
}

static void end_all(pid_t hog_pid)
{
	struct victim *v;

	for (v = shared->victims; v < shared->victims + count; v++) {
		if (v->holder)
			kill(v->holder, SIGKILL);
		if (by_hand)
			pthread_join(v->releaser, NULL);
		ptrace(PTRACE_DETACH, v->held, NULL, NULL);
		close(v->device);
	}
	if (hog_pid)
		kill(hog_pid, SIGKILL);
	while (wait(NULL) > 0)
		;
	memset(shared, 0, sizeof(*shared));
	count = 0;
}

static void add(const struct driver *driver, enum form form)
{
	struct victim *v = &shared->victims[count++];

	v->driver = driver;
	v->form = form;
	start(v);
}

/* What has to be seen, if the kernel and the driver do as they say. */
static int judge(struct victim *v)
{
	int busy = v->driver->busy, holds = !!v->driver->hold;
	int reaped = holds || reaper_waits || v->form == DEFERRING;
	int good = expect_is(v->reaped, reaped);

	good &= expect_is(v->stats.in_use, reaped ? 0 : busy);
	if (v->form == DEFERRING) {
		/* It was refused once, and made good once. */
		good &= expect_is(v->stats.refused, busy + holds);
		good &= expect_is(v->stats.blocking, busy + holds);
	} else if (holds) {
		good &= expect_is(v->stats.refused, v->stats.tries - 1);
		good &= expect_is(v->stats.blocking, 0);
	} else {
		good &= expect_is(v->stats.refused, TRIES * busy);
		good &= expect_is(v->stats.blocking,
				  reaper_waits ? v->driver->notifiers : 0);
	}
	good &= expect_at_least(v->stats.tries, 2);
	good &= expect_at_least(TRIES, v->stats.tries);
	if (by_hand)
		good &= expect_is(v->eagain, v->stats.blocking && reaper_waits ?
				  TRIES : v->stats.tries - v->reaped);
	return good;
}

static int each_driver(const char *way)
{
	struct victim *v;
	unsigned int i;
	pid_t hog_pid;
	int good, all = 1;
	long ooms = memcg ? memcg_ooms() : 0;

	for (i = 0; i < sizeof(drivers) / sizeof(*drivers); i++) {
		add(&drivers[i], C);
		add(&drivers[i], RUST);
		if (!reaper_waits)
			add(&drivers[i], DEFERRING);
	}
	hog_pid = kill_all();
	wait_for_all(NULL);
	for (v = shared->victims; v < shared->victims + count; v++) {
		printf("# waits way=%s driver=%s form=%s%s reaped=%d ms=%.0f tries=%llu refused=%llu blocking=%llu\n",
		       way, v->driver->name, forms[v->form],
		       reaper_waits ? "+waits" : "", v->reaped,
		       (v->back - v->first) * 1000, v->stats.tries,
		       v->stats.refused, v->stats.blocking);
		good = judge(v);
		printf("%s 1 %s: %s, %s%s\n", good ? "ok" : "not ok", way,
		       v->driver->name, forms[v->form],
		       reaper_waits ? ", the reaper waits" : "");
		all &= good;
	}
	if (memcg)
		all &= expect_at_least(memcg_ooms(), ooms + 1);
	end_all(hog_pid);
	return !all;
}

/*
 * Ten victims; the reaper gives up on all of them. In the second round one
 * driver never returns, and the others are reaped as fast as before.
 */
static int ten(void)
{
	int round, i, good = 1;
	double took[2] = { 0 };

	for (round = 0; round < 2; round++) {
		struct victim *stuck = round ? &shared->victims[9] : NULL;
		double killed;
		pid_t hog_pid;

		for (i = 0; i < 9; i++)
			add(&drivers[1], i % 2 ? C : RUST);
		add(round ? &never : &drivers[1], C);
		hog_pid = kill_all();
		killed = now();
		wait_for_all(stuck);
		for (i = 0; i < 9; i++) {
			struct victim *v = &shared->victims[i];

			good &= expect_is(v->reaped, 1);
			if (took[round] < v->back - killed)
				took[round] = v->back - killed;
		}
		if (stuck) {
			good &= expect_is(stuck->stats.tries, TRIES);
			good &= expect_is(stuck->reaped, 0);
			kill(stuck->holder, SIGKILL);
			wait_for_all(NULL);
			good &= expect_is(stuck->reaped, 1);
		}
		end_all(hog_pid);
	}
	printf("# ten: the last is reaped after %.1f s, and with one that is stuck after %.1f s\n",
	       took[0], took[1]);
	good &= expect_at_least(took[0] * 1500, took[1] * 1000);
	printf("%s 1 ten victims, one of them stuck\n", good ? "ok" : "not ok");
	return !good;
}

static void make_cgroups(void)
{
	char max[32];

	write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	if (mkdir(CGROUP, 0755) && errno != EEXIST)
		die(CGROUP);
	write_file(CGROUP "/cgroup.subtree_control", "+memory");
	if (mkdir(CGROUP "/victims", 0755) || mkdir(CGROUP "/hog", 0755))
		die(CGROUP);
	/* The OOM killer kills all of them at once. */
	write_file(CGROUP "/victims/memory.oom.group", "1");
	snprintf(max, sizeof(max), "%zu", cgroup_max());
	if (memcg)
		write_file(CGROUP "/memory.max", max);
}

static void remove_cgroups(void)
{
	if (rmdir(CGROUP "/victims") || rmdir(CGROUP "/hog") || rmdir(CGROUP))
		die(CGROUP);
}

int main(int argc, char **argv)
{
	const char *way = argc > 1 ? argv[1] : "";
	int ret;

	setvbuf(stdout, NULL, _IOLBF, 0);
	memcg = !strcmp(way, "memcg");
	by_hand = !strcmp(way, "mrelease");
	if (!memcg && !by_hand && strcmp(way, "oom") && strcmp(way, "ten")) {
		fprintf(stderr, "usage: %s oom|memcg|mrelease|ten\n", argv[0]);
		return 2;
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		die("mmap");
	if (!access(REAPER_WAITS, R_OK))
		reaper_waits = sum(REAPER_WAITS, "%ld");
	if (!by_hand)
		make_cgroups();
	ret = strcmp(way, "ten") ? each_driver(way) : ten();
	if (!by_hand)
		remove_cgroups();
	return ret;
}
