// SPDX-License-Identifier: GPL-2.0
/*
 * Lets each allocation of each call of the HMM device fail, one at a time, as
 * fail_nth.c does with /dev/mmu_mirror. An allocation under a lock that
 * callbacks take must not wait for memory; one that may is made, and reported,
 * only when the allocation before it fails.
 *
 * Prints results and comments, which fail_nth.sh counts.
 */
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <lib/test_hmm_uapi.h>

#include "fail_nth.h"
#include "page.h"

#define PAGE	page_size()
#define PAGES	8

struct state {
	int fd;
	char *mem;
	char *data;
};

static int command(struct state *s, unsigned long request)
{
	struct hmm_dmirror_cmd cmd = {
		.addr = (uintptr_t)s->mem,
		.ptr = (uintptr_t)s->data,
		.npages = PAGES,
	};

	return ioctl(s->fd, request, &cmd);
}

static int call_open(struct state *s)
{
	s->fd = open("/dev/hmm_dmirror0", O_RDWR | O_CLOEXEC);
	return s->fd < 0 ? -1 : 0;
}

static int call_read(struct state *s)
{
	return command(s, HMM_DMIRROR_READ);
}

static int call_read_unlocked(struct state *s)
{
	return command(s, HMM_DMIRROR_READ_UNLOCKED);
}

static int call_write(struct state *s)
{
	return command(s, HMM_DMIRROR_WRITE);
}

static int call_exclusive(struct state *s)
{
	return command(s, HMM_DMIRROR_EXCLUSIVE);
}

static int call_snapshot(struct state *s)
{
	return command(s, HMM_DMIRROR_SNAPSHOT);
}

/* And what each has to have allocated at least, and can't do without. */
static const struct call {
	const char *name;
	int (*run)(struct state *s);
	int allocates;
} calls[] = {
	{ "HMM: open", call_open, 3 },
	{ "HMM: READ", call_read, 1 },
	{ "HMM: READ_UNLOCKED", call_read_unlocked, 1 },
	{ "HMM: WRITE", call_write, 1 },
	{ "HMM: EXCLUSIVE", call_exclusive, 1 },
	{ "HMM: SNAPSHOT", call_snapshot, 0 },
};

#define NCALLS	(int)(sizeof(calls) / sizeof(*calls))

/* The device and the process have the same memory. */
static void check_works(struct state *s)
{
	memset(s->data, 'd', PAGES * PAGE);
	CHECK(!call_write(s));
	CHECK(!memcmp(s->mem, s->data, PAGES * PAGE));
	memset(s->mem, 'p', PAGES * PAGE);
	CHECK(!call_read(s));
	CHECK(!memcmp(s->mem, s->data, PAGES * PAGE));
	CHECK(!munmap(s->mem, PAGE));
	CHECK(call_read(s) == -1 && errno == EFAULT);
	CHECK(!close(s->fd));
}

static int try_call(int which, int n)
{
	struct state s = { .fd = -1, .data = aligned_alloc(PAGE, PAGES * PAGE) };
	int ended;

	s.mem = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(s.mem != MAP_FAILED);
	/* The faults have to be those of the device. */
	memset(s.mem, 'm', PAGES * PAGE);
	memset(s.data, 'x', PAGES * PAGE);
	if (which)
		CHECK(!call_open(&s));

	ended = run_failing(calls[which].run, &s, n);
	if (ended == FAILED)
		CHECK(!calls[which].run(&s));
	check_works(&s);
	return ended;
}

int main(void)
{
	int which;

	setup_faults();
	for (which = 0; which < NCALLS; which++)
		fail_each(calls[which].name, try_call, which, calls[which].allocates);
	return 0;
}
