/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The files of the kernel, for tests: no failure ends the program.
 */
#ifndef FILES_H
#define FILES_H

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Whether all of the text was written. */
static inline int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret;

	ret = write(fd, text, strlen(text));
	close(fd);
	return ret == (int)strlen(text);
}

/* The number in the last line that matches, or -1. */
static inline long number_in(const char *path, const char *format)
{
	FILE *file = fopen(path, "r");
	char line[256];
	long number = -1;

	while (file && fgets(line, sizeof(line), file))
		sscanf(line, format, &number);
	if (file)
		fclose(file);
	return number;
}

/* The kilobytes of memory that are free; some are in lists of the CPUs. */
static inline long free_kb(void)
{
	return number_in("/proc/meminfo", "MemFree: %ld");
}

/* The kilobytes of anonymous memory that a thread has. */
static inline long anon_kb(pid_t tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	return number_in(path, "RssAnon: %ld");
}

#endif /* FILES_H */
