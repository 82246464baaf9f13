/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Lets each allocation of a system call fail, one at a time: /proc/self/fail-nth
 * makes the nth allocation of the next system call fail.
 */
#ifndef FAIL_NTH_H
#define FAIL_NTH_H

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"

#define FAILSLAB	"/sys/kernel/debug/failslab/"

#define MAX_FAULTS	200

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		ksft_exit_fail_msg("%s: %s\n", path, strerror(errno));
	close(fd);
}

static void set_fail_nth(int fd, int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", n);

	if (pwrite(fd, text, len, 0) != len)
		ksft_exit_fail_msg("fail-nth: %s\n", strerror(errno));
}

static int get_fail_nth(int fd)
{
	char text[16] = {};

	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		ksft_exit_fail_msg("fail-nth: %s\n", strerror(errno));
	return atoi(text);
}

/* How a call in a process of its own ended. */
enum { NOT_HIT, FAILED, ABSORBED, WRONG };

#define CHECK(condition)						\
	do {								\
		if (!(condition)) {					\
			ksft_print_msg("%s, line %d: not so: %s\n",	\
				       __func__, __LINE__, #condition);	\
			exit(WRONG);					\
		}							\
	} while (0)

struct state;

/* Runs a call with the nth of its allocations failing, and returns how it ended. */
static int run_failing(int (*run)(struct state *s), struct state *s, int n)
{
	int nth = open("/proc/self/fail-nth", O_RDWR | O_CLOEXEC);
	int ret, error, hit;

	/* Once without a fault, so that the code is there. */
	set_fail_nth(nth, 0);
	CHECK(get_fail_nth(nth) == 0);

	set_fail_nth(nth, n);
	ret = run(s);
	error = errno;
	hit = get_fail_nth(nth) == 0;
	set_fail_nth(nth, 0);
	close(nth);

	CHECK(!ret || (hit && error == ENOMEM));
	return !hit ? NOT_HIT : ret ? FAILED : ABSORBED;
}

/* What `run(which, n)` returns in a new process. */
static int in_child(int (*run)(int which, int n), int which, int n)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid)
		exit(run(which, n));
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		ksft_exit_fail_msg("fork: %s\n", strerror(errno));
	return WIFEXITED(status) ? WEXITSTATUS(status) : WRONG;
}

/*
 * Some faults are absorbed: kmemleak has records in reserve, the core of the
 * XArray allocates a node that it did not get a second time, and a fault of the
 * process that has no memory is taken again. The number of unabsorbed failures
 * shows allocations whose failure must not be absorbed.
 */
static void fail_each(const char *name, int (*run)(int which, int n), int which,
		      int allocates)
{
	int ended[] = { 0, 0, 0, 0 };
	int n, last = WRONG;

	ksft_print_msg(" RUN           %s ...\n", name);
	for (n = 1; n <= MAX_FAULTS && last != NOT_HIT; n++) {
		last = in_child(run, which, n);
		if (last < NOT_HIT || last > WRONG)
			last = WRONG;
		if (last == WRONG)
			ksft_print_msg("%s, with fault %d\n", name, n);
		ended[last]++;
	}

	ksft_print_msg("%s: %d faults, %d times ENOMEM, %d absorbed\n",
		       name, n - 2, ended[FAILED], ended[ABSORBED]);
	ksft_test_result(!ended[WRONG] && ended[NOT_HIT] == 1 &&
			 ended[FAILED] >= allocates,
			 "%s fails with each of its allocations\n", name);
}

static void setup_faults(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	/* Nothing about each fault in the log, and also those that could sleep. */
	write_file(FAILSLAB "verbose", "0");
	write_file(FAILSLAB "ignore-gfp-wait", "0");
	/* Those of all caches. */
	write_file(FAILSLAB "cache-filter", "0");
	write_file(FAILSLAB "task-filter", "0");
}

#endif /* FAIL_NTH_H */
