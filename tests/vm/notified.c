// SPDX-License-Identifier: GPL-2.0
/*
 * Has memory mirrored by the driver that is named, and unmaps it. With
 * "collide" two drivers have it: one makes an invalidation last. Meanwhile, one
 * notifier of the other comes, one goes, and one looks the memory up.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mirror.h"
#include "page.h"

#define SLOW_DEVICE "/dev/slow_mmu_notifier"
#define LEN (4 * page_size())

static int opened(const char *path)
{
	int fd = open(path, O_RDWR);

	if (fd < 0) {
		perror(path);
		exit(1);
	}
	return fd;
}

/* Has the driver mirror the memory; returns the open device. */
static int mirrored(char *mem)
{
	int fd = opened(MIRROR_DEVICE);

	if (mirror_map(fd, mem, LEN) || mirror_prefetch(fd, mem, LEN)) {
		perror(MIRROR_DEVICE);
		exit(1);
	}
	return fd;
}

static int slow(void)
{
	int fd = opened(SLOW_DEVICE);

	if (write(fd, "m", 1) != 1) {
		perror(SLOW_DEVICE);
		exit(1);
	}
	return fd;
}

/* A thread is there before the slow driver is: it takes memory for its stack. */
static atomic_bool invalidates, goes;

static void *invalidate(void *mem)
{
	while (!atomic_load(&invalidates))
		;
	/* Waits in the driver, see wait_ms. */
	if (madvise(mem, LEN, MADV_DONTNEED)) {
		perror("madvise");
		exit(1);
	}
	return NULL;
}

static void *go(void *fd)
{
	while (!atomic_load(&goes))
		;
	/* Waits for the end of the invalidation. */
	close(*(int *)fd);
	return NULL;
}

/* The second driver waits, and the first one has been called. */
static int looks_up_meanwhile(char *mem)
{
	struct { uint32_t refused, waiting, waited; } stats;
	int fd = mirrored(mem), old = mirrored(mem), new = opened(MIRROR_DEVICE);
	pthread_t invalidating, going;
	int slow_fd;
	char byte;

	if (pthread_create(&invalidating, NULL, invalidate, mem) ||
	    pthread_create(&going, NULL, go, &old))
		return 1;
	/* It only waits for the first invalidation, so there is no other. */
	slow_fd = slow();
	atomic_store(&invalidates, true);
	do {
		if (read(slow_fd, &stats, sizeof(stats)) != sizeof(stats))
			return 1;
		if (stats.waited && !stats.waiting) {
			fprintf(stderr, "too late: the invalidation has ended\n");
			return 1;
		}
	} while (!stats.waiting);
	if (mirror_map(new, mem, LEN)) {
		perror("map");
		return 1;
	}
	atomic_store(&goes, true);
	if (mirror_read(fd, mem, &byte, 1)) {
		perror("read");
		return 1;
	}
	return pthread_join(invalidating, NULL) || pthread_join(going, NULL);
}

int main(int argc, char **argv)
{
	char *mem = mmap(NULL, LEN, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd;

	if (argc != 2 || mem == MAP_FAILED) {
		fprintf(stderr, "usage: %s mirror|slow|collide\n", argv[0]);
		return 2;
	}
	memset(mem, 1, LEN);

	if (!strcmp(argv[1], "collide"))
		return looks_up_meanwhile(mem);
	fd = strcmp(argv[1], "slow") ? mirrored(mem) : slow();

	if (munmap(mem, LEN)) {
		perror("munmap");
		return 1;
	}
	/* Or the driver is called once more for the end of this process. */
	return close(fd);
}
