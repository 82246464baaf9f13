// SPDX-License-Identifier: GPL-2.0
/*
 * A device must not prevent the following: splitting, collapsing and reclaiming
 * a huge page of which it has a part, and userfaultfd(2) being called first. A
 * driver that keeps a reference to a page stops the first three without having
 * been called.
 *
 * And the callers of the driver: not only the process that has the memory.
 */
#define _GNU_SOURCE
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <kselftest_harness.h>

#include "device.h"
#include "expect.h"
#include "files.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

#define PAGE		DEVICE_PAGE
#define HUGE_PAGE	((long)huge_page_size())
#define MEMORY		(32L << 20)	/* a huge page at least */
#define SPARE		(128L << 20)
#define THP		"/sys/kernel/mm/transparent_hugepage/"

/* The milliseconds that khugepaged sleeps after a scan, and without memory. */
static int khugepaged_sleeps(const char *scan, const char *alloc)
{
	return !write_file(THP "khugepaged/scan_sleep_millisecs", scan) ||
	       !write_file(THP "khugepaged/alloc_sleep_millisecs", alloc);
}

FIXTURE(device)
{
	struct device device;
	char *mem;	/* what is mirrored, at the start of a huge page */
	char *data;	/* what the device reads and writes */
	void *mapped;
};

FIXTURE_VARIANT(device)
{
	int is_hmm;
};

FIXTURE_VARIANT_ADD(device, mmu_mirror) { .is_hmm = 0 };
FIXTURE_VARIANT_ADD(device, hmm) { .is_hmm = 1 };

FIXTURE_SETUP(device)
{
	ASSERT_EQ(0, device_open(&self->device, variant->is_hmm));
	self->mapped = mmap(NULL, MEMORY + HUGE_PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->mapped);
	self->mem = (char *)(((uintptr_t)self->mapped + HUGE_PAGE - 1) & -HUGE_PAGE);
	ASSERT_EQ(0, madvise(self->mem, MEMORY, MADV_NOHUGEPAGE));
	ASSERT_EQ(0, device_map(&self->device, self->mem, MEMORY));
	self->data = aligned_alloc(PAGE, PAGE);
	ASSERT_NE(NULL, self->data);
}

FIXTURE_TEARDOWN(device)
{
	/* The defaults: a khugepaged that does not rest collapses what others split. */
	EXPECT_EQ(0, khugepaged_sleeps("10000", "60000"));
	close(self->device.fd);
	munmap(self->mapped, MEMORY + HUGE_PAGE);
	free(self->data);
}

/* The kilobytes of this process in huge pages. */
static long huge_kb(void)
{
	return number_in("/proc/self/smaps_rollup", "AnonHugePages: %ld");
}

/* A process that acts on us once it is let go, after the device did. */
struct other {
	pid_t pid;
	int go;
};

static int start_other(struct other *other, int (*act)(pid_t pid, void *arg),
		       void *arg)
{
	pid_t pid = getpid();
	int fds[2];
	char c;

	if (pipe(fds))
		return -1;
	other->go = fds[1];
	other->pid = fork();
	if (!other->pid) {
		close(fds[1]);
		read(fds[0], &c, 1);
		_exit(act(pid, arg) ? errno : 0);
	}
	close(fds[0]);
	return other->pid < 0 ? -1 : 0;
}

/* Returns the error that it got. */
static int let_go(struct other *other)
{
	int status;

	close(other->go);
	if (waitpid(other->pid, &status, 0) != other->pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

/*
 * Whether the device reads @c, which it had to look up again: more than once if
 * another task, for example reclaim, takes the page meanwhile.
 */
#define EXPECT_READ_ANEW(c, addr)					\
	do {								\
		memset(self->data, '?', PAGE);				\
		EXPECT_LE(1, device_read(&self->device, addr, self->data));\
		EXPECT_EQ(c, self->data[0]);				\
	} while (0)

/* Fills a huge page, of which the device has the last small page. */
#define FILL_HUGE_PAGE()						\
	do {								\
		ASSERT_EQ(0, madvise(self->mem, HUGE_PAGE, MADV_HUGEPAGE));\
		memset(self->mem, 'a', HUGE_PAGE);			\
		ASSERT_EQ(HUGE_PAGE / 1024, huge_kb());			\
		ASSERT_LE(0, device_read(&self->device, last, self->data));\
		EXPECT_EQ('a', self->data[0]);				\
	} while (0)

/* Fills small pages that could be a huge one, of which it has the last. */
#define FILL_SMALL_PAGES()						\
	do {								\
		memset(self->mem, 'a', HUGE_PAGE);			\
		ASSERT_EQ(0, huge_kb());				\
		ASSERT_LE(0, device_read(&self->device, last, self->data));\
		EXPECT_EQ('a', self->data[0]);				\
	} while (0)

TEST_F(device, huge_page_is_split)
{
	char *last = self->mem + HUGE_PAGE - PAGE;
	char range[64];

	FILL_HUGE_PAGE();
	snprintf(range, sizeof(range), "%d,0x%lx,0x%lx,0", getpid(),
		 (unsigned long)self->mem, (unsigned long)self->mem + HUGE_PAGE);
	EXPECT_TRUE(write_file("/sys/kernel/debug/split_huge_pages", range));
	EXPECT_EQ(0, huge_kb());
	*last = 'b';
	EXPECT_READ_ANEW('b', last);
}

static int remote_madvise(pid_t pid, void *mem, int advice)
{
	struct iovec iov = { mem, HUGE_PAGE };
	int pidfd = syscall(SYS_pidfd_open, pid, 0);

	errno = 0;
	return syscall(SYS_process_madvise, pidfd, &iov, 1, advice, 0) !=
	       HUGE_PAGE;
}

static int collapse(pid_t pid, void *mem)
{
	return remote_madvise(pid, mem, MADV_COLLAPSE);
}

TEST_F(device, another_process_collapses)
{
	char *last = self->mem + HUGE_PAGE - PAGE;
	struct other other;

	ASSERT_EQ(0, start_other(&other, collapse, self->mem));
	FILL_SMALL_PAGES();
	ASSERT_EQ(0, madvise(self->mem, HUGE_PAGE, MADV_HUGEPAGE));
	EXPECT_EQ(0, let_go(&other));
	EXPECT_EQ(HUGE_PAGE / 1024, huge_kb());
	*last = 'b';
	EXPECT_READ_ANEW('b', last);
}

/* A thread of the kernel, which has no memory of its own. */
TEST_F(device, khugepaged_collapses)
{
	char *last = self->mem + HUGE_PAGE - PAGE;
	int limit = patience();

	FILL_SMALL_PAGES();
	ASSERT_EQ(0, khugepaged_sleeps("10", "10"));
	ASSERT_EQ(0, madvise(self->mem, HUGE_PAGE, MADV_HUGEPAGE));
	for (int i = 0; i < limit * 100 && !huge_kb(); i++)
		usleep(10000);
	EXPECT_EQ(HUGE_PAGE / 1024, huge_kb());
	*last = 'b';
	EXPECT_READ_ANEW('b', last);
}

static int page_out(pid_t pid, void *mem)
{
	return remote_madvise(pid, mem, MADV_PAGEOUT);
}

/* Without swap, what is reclaimed is what the process has given up. */
TEST_F(device, another_process_reclaims)
{
	char *last = self->mem + HUGE_PAGE - PAGE;
	struct other other;

	ASSERT_EQ(0, start_other(&other, page_out, self->mem));
	FILL_HUGE_PAGE();
	ASSERT_EQ(0, madvise(self->mem, HUGE_PAGE, MADV_FREE));
	ASSERT_LE(0, device_read(&self->device, last, self->data));
	EXPECT_EQ('a', self->data[0]);

	EXPECT_EQ(0, let_go(&other));
	EXPECT_EQ(0, huge_kb());
	EXPECT_READ_ANEW(0, last);
	EXPECT_EQ(0, *last);
}

static int compact(pid_t pid, void *unused)
{
	return !write_file("/proc/sys/vm/compact_memory", "1");
}

/* Where a page is in memory. */
static uint64_t frame(int pagemap, char *addr)
{
	uint64_t entry = 0;

	pread(pagemap, &entry, sizeof(entry), (uintptr_t)addr / PAGE * sizeof(entry));
	return entry & ((1ULL << 55) - 1);
}

TEST_F(device, compaction_migrates)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	static uint64_t frames[MEMORY / MIN_PAGE];
	int moved = 0;

	ASSERT_LE(0, pagemap);
	/* That the pages are where others are moved to is possible, but rare. */
	for (int round = 0; round < 10 && !moved; round++) {
		long size = (free_kb() * 1024 - SPARE) & -HUGE_PAGE;
		struct other other;
		char *ballast;

		ASSERT_EQ(0, start_other(&other, compact, NULL));
		/*
		 * Compaction moves pages to the end of memory, where the free
		 * ones are taken first. So have most of those taken first, that
		 * are free again then.
		 */
		ballast = mmap(NULL, size, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		ASSERT_NE(MAP_FAILED, ballast);
		ASSERT_EQ(0, madvise(ballast, size, MADV_HUGEPAGE));
		for (long i = 0; i < size; i += PAGE)
			ballast[i] = 1;
		ASSERT_EQ(0, madvise(self->mem, MEMORY, MADV_DONTNEED));
		memset(self->mem, 'a', MEMORY);
		ASSERT_EQ(0, munmap(ballast, size));

		/* The device has one page of eight, and the others are holes. */
		for (long i = 0; i < MEMORY / PAGE; i += 8) {
			char *addr = self->mem + i * PAGE;

			ASSERT_EQ(0, madvise(addr + PAGE, 7 * PAGE, MADV_DONTNEED));
			ASSERT_LE(0, device_read(&self->device, addr, self->data));
			frames[i] = frame(pagemap, addr);
			ASSERT_NE(0, frames[i]);
		}
		EXPECT_EQ(0, let_go(&other));
		for (long i = 0; i < MEMORY / PAGE; i += 8) {
			char *addr = self->mem + i * PAGE;

			if (frame(pagemap, addr) == frames[i])
				continue;
			moved++;
			*addr = 'b';
			EXPECT_READ_ANEW('b', addr);
		}
	}
	EXPECT_LT(0, moved);
	close(pagemap);
}

static int poke(pid_t pid, void *addr)
{
	int status;

	return ptrace(PTRACE_ATTACH, pid, NULL, NULL) ||
	       waitpid(pid, &status, __WALL) != pid ||
	       ptrace(PTRACE_POKEDATA, pid, addr, 'p') ||
	       ptrace(PTRACE_DETACH, pid, NULL, NULL);
}

/* The page is that of both, until one of them writes. */
TEST_F(device, tracer_gets_us_a_copy)
{
	struct other other;

	memset(self->mem, 'a', PAGE);
	ASSERT_EQ(0, start_other(&other, poke, self->mem));
	ASSERT_LE(0, device_read(&self->device, self->mem, self->data));
	EXPECT_EQ('a', self->data[0]);

	EXPECT_EQ(0, let_go(&other));
	EXPECT_EQ('p', self->mem[0]);
	EXPECT_READ_ANEW('p', self->mem);
}

/* Userfaultfd, and what its handler has seen. */
struct handler {
	int uffd;
	char *page;
	int missing;
	int protected;
};

static void *handle(void *handler)
{
	struct handler *h = handler;
	struct uffd_msg msg;

	while (read(h->uffd, &msg, sizeof(msg)) == sizeof(msg)) {
		uint64_t addr = msg.arg.pagefault.address & -PAGE;
		struct uffdio_copy copy = { .dst = addr, .len = PAGE,
					    .src = (uintptr_t)h->page };
		struct uffdio_writeprotect protect = { .range = { addr, PAGE } };

		if (msg.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP) {
			h->protected++;
			ioctl(h->uffd, UFFDIO_WRITEPROTECT, &protect);
		} else {
			h->missing++;
			ioctl(h->uffd, UFFDIO_COPY, &copy);
		}
	}
	return NULL;
}

TEST_F(device, waits_for_userfaultfd)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { (uintptr_t)self->mem, 2 * PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP,
	};
	struct uffdio_writeprotect protect = {
		.range = { (uintptr_t)self->mem, PAGE },
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};
	struct handler handler = {
		.uffd = syscall(SYS_userfaultfd, O_CLOEXEC),
		.page = aligned_alloc(PAGE, PAGE),
	};
	pthread_t thread;

	ASSERT_LE(0, handler.uffd);
	ASSERT_NE(NULL, handler.page);
	memset(handler.page, 'h', PAGE);
	ASSERT_EQ(0, ioctl(handler.uffd, UFFDIO_API, &api));
	ASSERT_EQ(0, ioctl(handler.uffd, UFFDIO_REGISTER, &reg));
	ASSERT_EQ(0, pthread_create(&thread, NULL, handle, &handler));

	/* A page that the handler has to bring. */
	memset(self->data, 0, PAGE);
	EXPECT_LE(1, device_read(&self->device, self->mem, self->data));
	EXPECT_EQ(1, handler.missing);
	EXPECT_EQ('h', self->data[0]);

	/* The HMM device writes with the mmap lock held, and cannot wait. */
	if (variant->is_hmm)
		goto out;

	/* A page that it may not write to before the handler has been asked. */
	memset(self->data, 'd', PAGE);
	ASSERT_LE(0, device_write(&self->device, self->mem, self->data));
	EXPECT_EQ(0, handler.protected);
	ASSERT_EQ(0, ioctl(handler.uffd, UFFDIO_WRITEPROTECT, &protect));
	memset(self->data, 'e', PAGE);
	EXPECT_LE(1, device_write(&self->device, self->mem, self->data));
	EXPECT_EQ(1, handler.protected);
	EXPECT_EQ('e', *self->mem);

	/* A page that it has to bring for writing. */
	EXPECT_LE(1, device_write(&self->device, self->mem + PAGE, self->data));
	EXPECT_EQ(2, handler.missing);
	EXPECT_EQ('e', self->mem[PAGE]);

out:
	/* Its read is the thread's. */
	pthread_cancel(thread);
	pthread_join(thread, NULL);
	close(handler.uffd);
	free(handler.page);
}

TEST_HARNESS_MAIN
