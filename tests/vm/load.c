// SPDX-License-Identifier: GPL-2.0
/*
 * Everything at once: a process whose threads unmap, move, protect and discard
 * memory on which several devices work, and fork; and smaller ones of that kind
 * that are killed, exit or exec in the middle of it.
 *
 * usage: load SECONDS SEED
 *
 * Each thread does the same for the same seed, but not at the same time.
 * Prints results and comments, which load.sh counts.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "expect.h"
#include "kselftest.h"
#include "load.h"
#include "mirror.h"

/* Whether munmap() and the like may call a driver as the reaper does. */
static bool tried;

/* Pages that no other thread changes: each change is seen by all at once. */
static void own_step(struct thread *t)
{
	unsigned char value = pick(t, 256), seen = ~value, *pages = own(t->index);
	unsigned long offset = pick(t, OWN_PAGES * PAGE);
	unsigned char *byte = pages + offset;
	/* Any device reads, but the last two only write. */
	int reader = mirrors[pick(t, MIRRORS)], writer = mirrors[MIRRORS + t->index];
	int ret = 0;

	switch (pick(t, 4)) {
	case 0:
		__atomic_store_n(byte, value, __ATOMIC_RELAXED);
		break;
	case 1:
		ret = count(WRITES, mirror_write(pick(t, 2) ? reader : writer, byte, &value, 1));
		break;
	case 2:
		value = 0;
		ret = count(DISCARDS, madvise(byte - offset % PAGE, PAGE, MADV_DONTNEED));
		break;
	case 3:
		ret = count(PREFETCHES, mirror_prefetch(writer, pages, OWN_PAGES * PAGE));
		value = __atomic_load_n(byte, __ATOMIC_RELAXED);
	}
	CHECK(SAME_MEMORY, !ret);
	/* The device first: the process would bring a page back. */
	CHECK(SAME_MEMORY, !count(READS, mirror_read(reader, byte, &seen, 1)));
	COMPARE(SAME_MEMORY, seen, ==, value);
	COMPARE(SAME_MEMORY, __atomic_load_n(byte, __ATOMIC_RELAXED), ==, value);
}

/*
 * Pages that only this thread changes, while other threads have the devices read
 * them. So a device may be about to look a page up when it is discarded.
 */
static void pattern_step(struct thread *t)
{
	int index = pick(t, PATTERN_PAGES), ret = 0;
	unsigned char *addr = arena + index * PAGE, buf[MAX_PAGE];

	memset(buf, pattern(index, pick(t, 14)), PAGE);
	CHECK(SAME_MEMORY, !count(DISCARDS, madvise(addr, PAGE, MADV_DONTNEED)));
	check_pattern(addr + pick(t, PAGE), 0);
	if (pick(t, 2))
		memcpy(addr, buf, PAGE);
	else
		ret = count(WRITES, mirror_write(mirrors[pick(t, MIRRORS)], addr, buf, PAGE));
	CHECK(SAME_MEMORY, !ret);
	check_pattern(addr + pick(t, PAGE), buf[0]);
}

/* Has the devices work on memory that others change. */
static void device_step(struct thread *t)
{
	unsigned char *addr = arena + pick(t, (PATTERN_PAGES - 1) * PAGE), buf[MAX_PAGE];
	int mirror = mirrors[pick(t, MIRRORS)], wrong = 0, ret;
	unsigned long i;

	CHECK(SAME_MEMORY, !count(READS, mirror_read(mirror, addr, buf, PAGE)));
	for (i = 0; i < PAGE; i++)
		wrong += !is_pattern(addr + i, buf[i]);
	COMPARE(SAME_MEMORY, wrong, ==, 0);

	addr = chaos(0) + pick(t, (2 * CHAOS_PAGES - 1) * PAGE);
	switch (pick(t, 3)) {
	case 0:
		ret = count(READS, mirror_read(mirror, addr, buf, PAGE));
		break;
	case 1:
		ret = count(WRITES, mirror_write(mirror, addr, buf, PAGE));
		break;
	default:
		ret = count(PREFETCHES, mirror_prefetch(mirror, addr, PAGE));
	}
	CHECK(SAME_MEMORY, !ret || errno == EFAULT);
}

/*
 * Pages that come and go, always at a chosen address: the kernel leaves the
 * holes empty, because there are no other mappings by then.
 */
static void chaos_step(struct thread *t)
{
	unsigned char *half = chaos(t->index) + CHAOS_PAGES / 2 * PAGE;
	unsigned char *a = chaos(t->index) + pick(t, CHAOS_PAGES / 2 - 2) * PAGE;
	unsigned char *b = half + pick(t, CHAOS_PAGES / 2 - 2) * PAGE;

	switch (pick(t, 6)) {
	case 0:
		count(UNMAPS, munmap(a, 2 * PAGE));
		break;
	case 1:
		count(MOVES, mremap(a, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, b) != b);
		break;
	case 2:
		count(PROTECTS, mprotect(b, 2 * PAGE, pick(t, 2) ? PROT_READ : PROT_NONE));
		break;
	case 3:
		count(DISCARDS, madvise(pick(t, 2) ? a : b, 2 * PAGE, MADV_DONTNEED));
		break;
	default:
		if (pick(t, 2))
			a = b;
		CHECK(SAME_MEMORY, mmap(a, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE |
					MAP_ANONYMOUS | MAP_FIXED, -1, 0) == a);
		memset(a, pick(t, 256), 3 * PAGE);
	}
}

/* Mirrors that come and go. */
static void map_step(struct thread *t)
{
	int first = pick(t, PAGES), pages = 1 + pick(t, PAGES - first);
	int fd = open(MIRROR_DEVICE, O_RDWR | O_CLOEXEC), ret;
	struct mmu_mirror_stats stats;

	CHECK(ADDS_UP, !count(MAPS, mirror_map(fd, arena + first * PAGE, pages * PAGE)));
	ret = count(PREFETCHES, mirror_prefetch(fd, arena + first * PAGE, pages * PAGE));
	CHECK(SAME_MEMORY, !ret || errno == EFAULT);
	/* Or close() does it. */
	if (pick(t, 2)) {
		CHECK(ADDS_UP, !mirror_unmap(fd));
		stats = mirror_stats(fd);
		COMPARE(LET_GO, stats.pages, ==, 0);
		COMPARE(ADDS_UP, stats.faults, >=, stats.retries + stats.dropped);
		CHECK(ADDS_UP, tried || stats.nonblock == 0);
		total(&stats);
	}
	close(fd);
}

static unsigned long checksum(void)
{
	unsigned long sum = 0, i;

	for (i = 0; i < 2 * OWN_PAGES * PAGE; i++)
		sum = sum * 31 + own(0)[i];
	return sum;
}

/* What a child has is not changed by the parent's devices, and the other way round. */
static void child(int exec)
{
	int fd = open(MIRROR_DEVICE, O_RDWR | O_CLOEXEC), wrong = 0;
	unsigned long before = checksum(), i;
	unsigned char c = MARK;

	CHECK(OWN_MEMORY, mirror_read(mirrors[0], arena, &c, 1) == -1 && errno == EPERM);
	CHECK(ADDS_UP, !count(MAPS, mirror_map(fd, arena, PAGES * PAGE)));
	for (i = 0; i < PATTERN_PAGES * PAGE; i++)
		wrong += !is_pattern(arena + i, arena[i]);
	COMPARE(OWN_MEMORY, wrong, ==, 0);
	/* Half of it by the process, half of it by its device. */
	memset(arena, MARK, PATTERN_PAGES / 2 * PAGE);
	CHECK(SAME_MEMORY, !mirror_write(fd, arena + PATTERN_PAGES / 2 * PAGE, arena,
					 PATTERN_PAGES / 2 * PAGE));
	usleep(5000);
	COMPARE(OWN_MEMORY, checksum(), ==, before);
	for (wrong = i = 0; i < PATTERN_PAGES * PAGE; i++)
		wrong += arena[i] != MARK;
	COMPARE(OWN_MEMORY, wrong, ==, 0);
	if (exec)
		execl("/bin/busybox", "true", NULL);
	_exit(exec);
}

static void fork_step(struct thread *t)
{
	int exec = !pick(t, 3), status = -1;
	pid_t pid = fork();

	if (!pid)
		child(exec);
	CHECK(OWN_MEMORY, waitpid(pid, &status, 0) == pid);
	COMPARE(OWN_MEMORY, status, ==, 0);
	count(exec ? EXECS : FORKS, status);
}

#define NTHREADS 8

/* Before that their stacks are mapped, perhaps into a hole. */
static pthread_barrier_t begin;

static void *run_thread(void *thread)
{
	pthread_barrier_wait(&begin);
	loop(thread);
	return NULL;
}

/* Starts the first `n` threads, on new memory; `fd` has the first mirror of it. */
static void start(struct thread *threads, int n, int fd, unsigned int seed)
{
	static const struct thread all[NTHREADS] = {
		{ .step = own_step },
		{ .step = own_step, .index = 1 },
		{ .step = pattern_step },
		{ .step = device_step },
		{ .step = chaos_step },
		{ .step = chaos_step, .index = 1 },
		{ .step = map_step },
		{ .step = fork_step },
	};
	int i, ret;

	arena = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (arena == MAP_FAILED)
		ksft_exit_fail_msg("mmap: %s\n", strerror(errno));
	for (i = 0; i < MIRRORS + 2; i++) {
		mirrors[i] = i ? open(MIRROR_DEVICE, O_RDWR | O_CLOEXEC) : fd;
		if (i < MIRRORS)
			ret = mirror_map(mirrors[i], arena, PAGES * PAGE);
		else
			ret = mirror_map(mirrors[i], own(i - MIRRORS), OWN_PAGES * PAGE);
		CHECK(ADDS_UP, !count(MAPS, ret));
	}
	pthread_barrier_init(&begin, NULL, n + 1);
	for (i = 0; i < n; i++) {
		threads[i] = all[i];
		threads[i].seed = seed + i;
		if (pthread_create(&threads[i].id, NULL, run_thread, &threads[i]))
			ksft_exit_fail_msg("pthread_create\n");
	}
	pthread_barrier_wait(&begin);
}

/* A process that ends while its threads are at it: they fault, map and unmap. */
static void victim(int fd, enum event way, unsigned int seed)
{
	struct thread threads[NTHREADS];

	/* Without the one that forks: nobody would wait for its children. */
	start(threads, NTHREADS - 1, fd, seed);
	shared->ready = 1;
	usleep(20000);
	if (way == EXITS)
		_exit(0);
	if (way == EXECS)
		execl("/bin/busybox", "true", NULL);
	for (;;)
		pause();
}

/* As the OOM reaper, but by hand. */
static void kill_and_reap(pid_t pid)
{
	int pidfd = syscall(SYS_pidfd_open, pid, 0), ret;

	count(KILLS, kill(pid, SIGKILL));
	do {
		ret = syscall(SYS_process_mrelease, pidfd, 0);
		shared->events[AGAIN] += ret && errno == EAGAIN;
	} while (ret && errno == EAGAIN);
	/* Its last thread may be past that. */
	CHECK(LET_GO, !count(REAPED, ret) || errno == ESRCH);
	shared->events[TOO_LATE] += !!ret;
	close(pidfd);
}

static void victim_step(struct thread *t)
{
	enum event way = pick(t, 4) ? KILLS : pick(t, 2) ? EXITS : EXECS;
	/* Also in the middle of what a process does once, such as its first MAP. */
	int early = way == KILLS && !pick(t, 4);
	int fd = open(MIRROR_DEVICE, O_RDWR | O_CLOEXEC), status = -1;
	unsigned int seed = pick(t, RAND_MAX);
	struct mmu_mirror_stats stats;
	pid_t pid, gone = 0;

	shared->ready = 0;
	pid = fork();
	if (!pid)
		victim(fd, way, seed);
	while (!early && !shared->ready && !gone) {
		usleep(1000);
		gone = waitpid(pid, &status, WNOHANG);
	}
	if (way == KILLS) {
		usleep(pick(t, 40000));
		kill_and_reap(pid);
	}
	CHECK(LET_GO, gone == pid || waitpid(pid, &status, 0) == pid);
	CHECK(LET_GO, way == KILLS ? WIFSIGNALED(status) : !count(way, status));

	stats = mirror_stats(fd);
	COMPARE(LET_GO, stats.pages, ==, 0);
	COMPARE(ADDS_UP, stats.faults, >=, stats.retries + stats.dropped);
	CHECK(ADDS_UP, way == KILLS || tried || stats.nonblock == 0);
	total(&stats);
	/* The mirror outlived its process, if there was one. */
	CHECK(LET_GO, !mirror_unmap(fd) || early);
	close(fd);
}

/* With nobody else there any more, the counts are exact. */
static void finish(void)
{
	struct mmu_mirror_stats before[MIRRORS + 2], stats;
	int i;

	for (i = 0; i < MIRRORS + 2; i++) {
		struct mmu_mirror_stats *s = &before[i];

		*s = mirror_stats(mirrors[i]);
		/* What was read and is then written is looked up again, and replaced. */
		COMPARE(ADDS_UP, s->faults, >=, s->pages + s->dropped + s->retries);
		if (i >= MIRRORS)
			COMPARE(ADDS_UP, s->faults, ==, s->pages + s->dropped + s->retries);
		CHECK(ADDS_UP, tried || (s->nonblock == 0 && s->refused == 0));
		CHECK(ADDS_UP, s->dropped && s->invalidations + s->nonblock);
	}
	munmap(arena, PAGES * PAGE);
	for (i = 0; i < MIRRORS + 2; i++) {
		stats = mirror_stats(mirrors[i]);
		COMPARE(LET_GO, stats.pages, ==, 0);
		COMPARE(ADDS_UP, stats.dropped, ==, before[i].dropped + before[i].pages);
		COMPARE(ADDS_UP, stats.faults, ==, before[i].faults);
		total(&stats);
		CHECK(ADDS_UP, !mirror_unmap(mirrors[i]));
	}
}

int main(int argc, char **argv)
{
	unsigned int seconds = argc > 1 ? atoi(argv[1]) : 0;
	unsigned int seed = argc > 2 ? atoi(argv[2]) : 0;
	struct thread threads[NTHREADS], victims = { .step = victim_step, .seed = seed };
	int i, status = -1;
	pid_t pid;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!seconds || !seed)
		ksft_exit_fail_msg("usage: load SECONDS SEED\n");
	ksft_print_msg("%u seconds, seed %u\n", seconds, seed);
	share();
	tried = tried_first();

	pid = fork();
	if (!pid) {
		loop(&victims);
		_exit(0);
	}
	start(threads, NTHREADS, open(MIRROR_DEVICE, O_RDWR | O_CLOEXEC), seed);
	/* A slow machine takes longer to do as much. */
	sleep(seconds);
	for (i = 0; i < 3 * patience() && !enough_yet(seconds); i++)
		sleep(1);
	shared->stop = 1;
	for (i = 0; i < NTHREADS; i++)
		pthread_join(threads[i].id, NULL);
	CHECK(LET_GO, waitpid(pid, &status, 0) == pid);
	COMPARE(LET_GO, status, ==, 0);
	finish();
	return !report(seconds);
}
