/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Running out of memory, and looking at how much of it there is.
 */
#ifndef OOM_H
#define OOM_H

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "held.h"
#include "page.h"

#define MiB	(1024UL * 1024)

static inline double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static inline void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die(path);
	close(fd);
}

static inline FILE *open_file(const char *path)
{
	FILE *file = fopen(path, "r");

	if (!file)
		die(path);
	return file;
}

/* The sum of the numbers in the lines of an open file that match. */
static inline long sum_again(FILE *file, const char *format)
{
	char line[256];
	long total = 0, value;

	rewind(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, format, &value) == 1)
			total += value;
	return total;
}

static inline long sum(const char *path, const char *format)
{
	FILE *file = open_file(path);
	long total = sum_again(file, format);

	fclose(file);
	return total;
}

/* The kilobytes of anonymous memory that a thread has. */
static inline long anon_kb(pid_t tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	return sum(path, "RssAnon: %ld");
}

/*
 * The kilobytes of memory that are in use by the cgroup @memcg, or if it is NULL
 * not free in the system.
 *
 * The files stay open: to open and read them for the first time takes memory,
 * and when there is none this would wait for the reaper.
 */
static inline long used_kb(const char *memcg)
{
	static FILE *meminfo, *zoneinfo;
	char path[128];

	if (memcg) {
		snprintf(path, sizeof(path), "%s/memory.current", memcg);
		return sum(path, "%ld") / 1024;
	}

	if (!meminfo) {
		meminfo = open_file("/proc/meminfo");
		zoneinfo = open_file("/proc/zoneinfo");
	}
	/* Free memory is also in lists of the CPUs, as pages. */
	return -sum_again(meminfo, "MemFree: %ld") -
	       sum_again(zoneinfo, " count: %ld") * ((long)page_size() / 1024);
}

/* Memory of the calling process alone. */
static inline char *private_memory(size_t len)
{
	char *mem = mmap(NULL, len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		die("mmap");
	return mem;
}

/*
 * The process that takes memory until another has to give. It has more than any
 * but the victim: if the reaper does not get that memory, this one is next.
 */
static inline void hog(atomic_int *enough)
{
	while (!*enough) {
		char *mem = private_memory(MiB);
		size_t i;

		for (i = 0; i < MiB && !*enough; i += page_size())
			mem[i] = 1;
	}
	for (;;)
		pause();
}

#endif /* OOM_H */
