// SPDX-License-Identifier: GPL-2.0
/*
 * Lets each allocation of each call of /dev/mmu_mirror fail, one at a time, and
 * checks the state afterwards: /proc/self/fail-nth makes the nth allocation of
 * the next system call fail. Each time has its own process, because the first
 * mirror of a process allocates structures for the later ones.
 *
 * Prints results and comments, which fail_nth.sh counts.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fail_nth.h"
#include "mirror.h"
#include "page.h"

#define PAGE		page_size()
#define PAGES		8
#define ACCESSED	2	/* pages that are read or written at once */
#define LEN		(ACCESSED * PAGE)

#define NODES		"/sys/kernel/slab/radix_tree_node/failslab"

struct state {
	int fd;
	char *mem;
	char buf[ACCESSED * MAX_PAGE];
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
	return mirror_read(s->fd, s->mem, s->buf, LEN);
}

static int call_write(struct state *s)
{
	return mirror_write(s->fd, s->mem, s->buf, LEN);
}

/*
 * The minimal number of allocations of each call that must not fail.
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
	memset(s->buf, 'x', LEN);
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
	CHECK(!memcmp(s->mem, s->buf, LEN));
	memset(s->mem, 'y', LEN);
	CHECK(!call_read(s));
	CHECK(!memcmp(s->mem, s->buf, LEN));
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
	struct state s;
	int i, ended;

	setup(&s);
	for (i = OPEN; i < which && i <= MAP; i++)
		CHECK(!calls[i].run(&s));

	ended = run_failing(calls[which].run, &s, n);
	if (ended == FAILED) {
		if (which == MAP)
			check_not_mapped(&s);
		CHECK(!calls[which].run(&s));
	}
	if (which == OPEN)
		CHECK(!call_map(&s));
	check_works(&s);
	return ended;
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

	ksft_print_msg(" RUN           a table that can't grow ...\n");
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

	setup_faults();
	for (which = 0; which < NCALLS; which++)
		fail_each(calls[which].name, try_call, which, calls[which].allocates);
	fail_nodes();
	return 0;
}
