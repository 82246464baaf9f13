// SPDX-License-Identifier: GPL-2.0
/*
 * Measure the cost of the loaded mirror driver.
 *
 * usage: mirror_bench WHO
 *
 * Prints lines as bench.c does, with WHO as the name of the driver.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "cycles.h"
#include "mirror.h"
#include "page.h"

#define PAGES	1024
#define BYTES	(PAGES * page_size())
#define REPS	11

enum { FAULT, READ, DROP, CASES };

static const char *const names[] = { "mirror_fault", "mirror_read", "mirror_drop" };

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void check(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE;
	int fd = open(MIRROR_DEVICE, O_RDWR);
	uint64_t cost[CASES][REPS];
	char *mem, *buf;

	if (argc != 2)
		return 2;
	check(fd >= 0, MIRROR_DEVICE);
	mem = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
	buf = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
	check(mem != MAP_FAILED && buf != MAP_FAILED, "mmap");
	check(!mirror_map(fd, mem, BYTES), "MMU_MIRROR_MAP");

	for (int rep = 0; rep < REPS; rep++) {
		uint64_t start;

		/* The pages are there: what counts is the driver. */
		check(!madvise(mem, BYTES, MADV_POPULATE_WRITE), "MADV_POPULATE_WRITE");
		start = cycles();
		check(!mirror_prefetch(fd, mem, BYTES), "MMU_MIRROR_PREFETCH");
		cost[FAULT][rep] = cycles() - start;

		start = cycles();
		check(!mirror_read(fd, mem, buf, BYTES), "MMU_MIRROR_READ");
		cost[READ][rep] = cycles() - start;

		start = cycles();
		check(!madvise(mem, BYTES, MADV_DONTNEED), "MADV_DONTNEED");
		cost[DROP][rep] = cycles() - start;
		/* Else it was not that which was measured. */
		check(mirror_stats(fd).pages == 0, "pages");
		check(mirror_stats(fd).dropped == (rep + 1) * (uint64_t)PAGES, "dropped");
	}
	for (int i = 0; i < CASES; i++) {
		qsort(cost[i], REPS, sizeof(cost[i][0]), compare);
		printf("cost: table=operations case=%s bytes=%lu hits=1 others=0 who=%s batch=%d q1=%lu median=%lu q3=%lu\n",
		       names[i], BYTES, argv[1], PAGES, cost[i][REPS / 4], cost[i][REPS / 2],
		       cost[i][REPS * 3 / 4]);
	}
	return 0;
}
