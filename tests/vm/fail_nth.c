// SPDX-License-Identifier: GPL-2.0
/*
 * Lets each allocation of each call of /dev/mmu_mirror fail, one at a time, and
 * looks at what that leaves behind: /proc/self/fail-nth makes the nth allocation
 * of the next system call fail. Each time is that of a process of its own,
 * because the first mirror of a process allocates what later ones find.
 *
 * Prints results and comments, which fail_nth.sh counts.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"
#include "mirror.h"

#define PAGE		4096UL
#define PAGES		8
#define ACCESSED	2	/* pages that are read or written at once */

#define FAILSLAB	"/sys/kernel/debug/failslab/"
#define NODES		"/sys/kernel/slab/radix_tree_node/failslab"

#define MAX_FAULTS	200

struct state {
	int fd;
	char *mem;
	char buf[ACCESSED * PAGE];
};

static int call_open(struct state *s)
{
	s->fd = open(MIRROR_DEVICE, O_RDWR | O_CLOEXEC);
	return s->fd < 0 ? -1 : 0;
}

static int call_map(struct state *s)
{
	return mirror_map(s->fd, s->mem, PAGES * PAGE);
}

static int call_prefetch(struct state *s)
{
	return mirror_prefetch(s->fd, s->mem, PAGES * PAGE);
}

static int call_read(struct state *s)
{
	return mirror_read(s->fd, s->mem, s->buf, sizeof(s->buf));
}

static int call_write(struct state *s)
{
	return mirror_write(s->fd, s->mem, s->buf, sizeof(s->buf));
}

/*
 * What each call has to have allocated at least, and can't do without.
 * OPEN: the statistics and the device, and before that a name and a file.
 * MAP: the mirror, and the subscriptions of the process.
 * The others: a buffer. Entries of the table are no allocations.
 */
enum { OPEN, MAP, PREFETCH, READ, WRITE, NCALLS };

static const struct call {
	const char *name;
	int (*run)(struct state *s);
	int allocates;
} calls[NCALLS] = {
	[OPEN] = { "open", call_open, 4 },
	[MAP] = { "MAP", call_map, 2 },
	[PREFETCH] = { "PREFETCH", call_prefetch, 1 },
	[READ] = { "READ", call_read, 1 },
	[WRITE] = { "WRITE", call_write, 1 },
};

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

/* Every page that was looked up is still there, or is known to be not. */
static int adds_up(const struct mmu_mirror_stats *stats)
{
	return stats->faults == stats->pages + stats->dropped + stats->retries;
}

static void setup(struct state *s)
{
	/* Not touched yet, so that the device has to fault it in. */
	s->mem = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(s->mem != MAP_FAILED);
	/* Not zero, and no buffer that has to be faulted in. */
	memset(s->buf, 'x', sizeof(s->buf));
}

/* A MAP that failed leaves nothing that is called back. */
static void check_not_mapped(struct state *s)
{
	struct mmu_mirror_stats none = {}, stats;
	char *last = s->mem + (PAGES - 1) * PAGE;

	*last = 1;
	CHECK(!munmap(last, PAGE));
	stats = mirror_stats(s->fd);
	CHECK(!memcmp(&stats, &none, sizeof(none)));
	CHECK(mirror_unmap(s->fd) == -1 && errno == ENXIO);
	CHECK(mmap(last, PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == last);
}

/* All goes on as if nothing had happened. */
static void check_works(struct state *s)
{
	struct mmu_mirror_stats before = mirror_stats(s->fd), stats;

	CHECK(adds_up(&before));
	CHECK(!call_prefetch(s));
	stats = mirror_stats(s->fd);
	CHECK(adds_up(&stats));
	CHECK(stats.pages == PAGES);

	CHECK(!call_write(s));
	CHECK(!memcmp(s->mem, s->buf, sizeof(s->buf)));
	memset(s->mem, 'y', sizeof(s->buf));
	CHECK(!call_read(s));
	CHECK(!memcmp(s->mem, s->buf, sizeof(s->buf)));
	CHECK(mirror_stats(s->fd).faults == stats.faults);

	CHECK(!munmap(s->mem, PAGE));
	CHECK(mirror_stats(s->fd).invalidations == stats.invalidations + 1);
	CHECK(mirror_stats(s->fd).dropped == stats.dropped + 1);
	CHECK(mirror_stats(s->fd).pages == PAGES - 1);
	CHECK(!mirror_unmap(s->fd));
	CHECK(mirror_stats(s->fd).pages == 0);
	CHECK(!close(s->fd));
}

/* Runs in a process of its own, and returns how the call ended. */
static int try_call(int which, int n)
{
	int nth = open("/proc/self/fail-nth", O_RDWR | O_CLOEXEC);
	struct state s;
	int i, ret, error, hit;

	setup(&s);
	for (i = OPEN; i < which && i <= MAP; i++)
		CHECK(!calls[i].run(&s));

	/* Once without a fault, so that the code is there. */
	set_fail_nth(nth, 0);
	CHECK(get_fail_nth(nth) == 0);

	set_fail_nth(nth, n);
	ret = calls[which].run(&s);
	error = errno;
	hit = get_fail_nth(nth) == 0;
	set_fail_nth(nth, 0);

	CHECK(!ret || (hit && error == ENOMEM));
	if (ret) {
		if (which == MAP)
			check_not_mapped(&s);
		CHECK(!calls[which].run(&s));
	}
	if (which == OPEN)
		CHECK(!call_map(&s));
	check_works(&s);
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
 * process that has no memory is taken again. What must not be absorbed is seen
 * from the number of those that are not.
 */
static void fail_each(int which)
{
	int ended[] = { 0, 0, 0, 0 };
	int n, last = WRONG;

	for (n = 1; n <= MAX_FAULTS && last != NOT_HIT; n++) {
		last = in_child(try_call, which, n);
		if (last < NOT_HIT || last > WRONG)
			last = WRONG;
		if (last == WRONG)
			ksft_print_msg("%s, with fault %d\n", calls[which].name, n);
		ended[last]++;
	}

	ksft_print_msg("%s: %d faults, %d times ENOMEM, %d absorbed\n",
		       calls[which].name, n - 2, ended[FAILED], ended[ABSORBED]);
	ksft_test_result(!ended[WRONG] && ended[NOT_HIT] == 1 &&
			 ended[FAILED] >= calls[which].allocates,
			 "%s fails with each of its allocations\n", calls[which].name);
}

/* One fault does not keep the table from growing, see above. Many do. */
static int try_full(int which, int unused)
{
	struct mmu_mirror_stats stats;
	struct state s;

	setup(&s);
	CHECK(!call_open(&s));
	CHECK(!call_map(&s));

	write_file("/proc/self/make-it-fail", "1");
	CHECK(calls[which].run(&s) == -1);
	CHECK(errno == ENOMEM);
	write_file("/proc/self/make-it-fail", "0");

	/* It was looked up, and could not be entered. */
	stats = mirror_stats(s.fd);
	CHECK(stats.pages == 0);
	CHECK(stats.faults == stats.retries);
	CHECK(!calls[which].run(&s));
	check_works(&s);
	return FAILED;
}

static void fail_nodes(void)
{
	int which, good = 1;

	write_file(NODES, "1");
	write_file(FAILSLAB "cache-filter", "1");
	write_file(FAILSLAB "task-filter", "1");
	write_file(FAILSLAB "times", "-1");
	write_file(FAILSLAB "probability", "100");
	for (which = PREFETCH; which <= WRITE; which++)
		good &= in_child(try_full, which, 0) == FAILED;
	write_file(FAILSLAB "probability", "0");
	ksft_test_result(good, "a table that can't grow is an error\n");
}

int main(void)
{
	int which;

	setvbuf(stdout, NULL, _IOLBF, 0);
	/* Nothing about each fault in the log, and also those that could sleep. */
	write_file(FAILSLAB "verbose", "0");
	write_file(FAILSLAB "ignore-gfp-wait", "0");

	for (which = 0; which < NCALLS; which++)
		fail_each(which);
	fail_nodes();
	return 0;
}
