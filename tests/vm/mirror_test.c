// SPDX-License-Identifier: GPL-2.0
/*
 * The ioctls of /dev/mmu_mirror, and their errors.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kselftest_harness.h>
#include "mirror.h"

FIXTURE(mirror)
{
	int fd;
	size_t page;
	size_t len;
	char *mem;
};

FIXTURE_SETUP(mirror)
{
	self->page = sysconf(_SC_PAGESIZE);
	self->len = 8 * self->page;
	self->fd = open(MIRROR_DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->fd);
	self->mem = mmap(NULL, self->len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
}

FIXTURE_TEARDOWN(mirror)
{
	close(self->fd);
	munmap(self->mem, self->len);
}

#define EXPECT_ERRNO(expected, call)					\
	do {								\
		errno = 0;						\
		EXPECT_EQ(-1, (call));					\
		EXPECT_EQ((expected), errno);				\
	} while (0)

/* Runs in a child, which must not use the macros of the harness. */
static int wait_for(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

TEST_F(mirror, reads_what_the_process_wrote)
{
	char buf[3] = {};

	memset(self->mem, 'a', self->len);
	ASSERT_EQ(0, mirror_map(self->fd, self->mem, self->len));
	ASSERT_EQ(0, mirror_read(self->fd, self->mem + 17, buf, sizeof(buf)));
	EXPECT_EQ(0, memcmp(buf, "aaa", 3));

	/* The page is in the table now, and is not a copy. */
	memset(self->mem, 'b', self->len);
	ASSERT_EQ(0, mirror_read(self->fd, self->mem + 17, buf, sizeof(buf)));
	EXPECT_EQ(0, memcmp(buf, "bbb", 3));
	EXPECT_EQ(1, mirror_stats(self->fd).pages);
	EXPECT_EQ(1, mirror_stats(self->fd).faults);
}

TEST_F(mirror, writes_what_the_process_reads)
{
	ASSERT_EQ(0, mirror_map(self->fd, self->mem, self->len));
	/* Across the boundary of two pages. */
	ASSERT_EQ(0, mirror_write(self->fd, self->mem + self->page - 2, "abcd", 4));
	EXPECT_EQ(0, memcmp(self->mem + self->page - 2, "abcd", 4));
	EXPECT_EQ(2, mirror_stats(self->fd).pages);
}

TEST_F(mirror, read_does_not_allocate_but_write_replaces)
{
	char c = 'x';

	/* The zero page, and then a page of the process. */
	ASSERT_EQ(0, mirror_map(self->fd, self->mem, self->len));
	ASSERT_EQ(0, mirror_read(self->fd, self->mem, &c, 1));
	EXPECT_EQ(0, c);
	ASSERT_EQ(0, mirror_write(self->fd, self->mem, "y", 1));
	EXPECT_EQ('y', self->mem[0]);
	EXPECT_EQ(1, mirror_stats(self->fd).pages);
}

TEST_F(mirror, prefetch_fills_the_table)
{
	ASSERT_EQ(0, mirror_map(self->fd, self->mem, self->len));
	ASSERT_EQ(0, mirror_prefetch(self->fd, self->mem, self->len));
	EXPECT_EQ(8, mirror_stats(self->fd).pages);
	ASSERT_EQ(0, mirror_prefetch(self->fd, self->mem, self->len));
	EXPECT_EQ(8, mirror_stats(self->fd).faults);
	ASSERT_EQ(0, mirror_unmap(self->fd));
	EXPECT_EQ(0, mirror_stats(self->fd).pages);
	EXPECT_EQ(0, mirror_stats(self->fd).dropped);
}

TEST_F(mirror, munmap_drops_pages)
{
	struct mmu_mirror_stats stats;
	char c;

	ASSERT_EQ(0, mirror_map(self->fd, self->mem, self->len));
	ASSERT_EQ(0, mirror_prefetch(self->fd, self->mem, self->len));
	ASSERT_EQ(0, munmap(self->mem + self->page, 2 * self->page));

	stats = mirror_stats(self->fd);
	EXPECT_EQ(6, stats.pages);
	EXPECT_EQ(2, stats.dropped);
	EXPECT_LE(1, stats.invalidations + stats.nonblock);
	if (!tried_first())
		EXPECT_EQ(0, stats.nonblock);
	EXPECT_EQ(0, stats.refused);
	EXPECT_ERRNO(EFAULT, mirror_read(self->fd, self->mem + self->page, &c, 1));
}

TEST_F(mirror, dontneed_gives_zeroes)
{
	char c = 'x';

	ASSERT_EQ(0, mirror_map(self->fd, self->mem, self->len));
	ASSERT_EQ(0, mirror_write(self->fd, self->mem, "abcd", 4));
	ASSERT_EQ(0, madvise(self->mem, self->page, MADV_DONTNEED));
	ASSERT_EQ(0, mirror_read(self->fd, self->mem, &c, 1));
	EXPECT_EQ(0, c);
	EXPECT_EQ(0, self->mem[0]);
}

TEST_F(mirror, mprotect_is_obeyed)
{
	char c = 'x';

	ASSERT_EQ(0, mirror_map(self->fd, self->mem, self->len));
	ASSERT_EQ(0, mirror_write(self->fd, self->mem, "a", 1));
	ASSERT_EQ(0, mprotect(self->mem, self->len, PROT_READ));
	EXPECT_ERRNO(EFAULT, mirror_write(self->fd, self->mem, "b", 1));
	EXPECT_EQ(0, mirror_read(self->fd, self->mem, &c, 1));
	EXPECT_EQ('a', c);
	ASSERT_EQ(0, mprotect(self->mem, self->len, PROT_NONE));
	EXPECT_ERRNO(EFAULT, mirror_read(self->fd, self->mem, &c, 1));
}

TEST_F(mirror, mremap_is_followed)
{
	char c, *moved;

	ASSERT_EQ(0, mirror_map(self->fd, self->mem, self->len));
	ASSERT_EQ(0, mirror_write(self->fd, self->mem + self->page, "a", 1));
	moved = mmap(NULL, self->page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, moved);
	ASSERT_EQ(moved, mremap(self->mem + self->page, self->page, self->page,
				MREMAP_MAYMOVE | MREMAP_FIXED, moved));
	EXPECT_EQ('a', *moved);
	EXPECT_EQ(0, mirror_stats(self->fd).pages);
	EXPECT_ERRNO(EFAULT, mirror_read(self->fd, self->mem + self->page, &c, 1));
	munmap(moved, self->page);
}

TEST_F(mirror, fork_copies_on_write)
{
	int written[2];
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(written));
	ASSERT_EQ(0, mirror_map(self->fd, self->mem, self->len));
	ASSERT_EQ(0, mirror_write(self->fd, self->mem, "a", 1));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		/* The parent's device must not write to the child's page. */
		close(written[1]);
		if (read(written[0], &c, 1))
			_exit(1);
		_exit(self->mem[0] == 'a' ? 0 : 2);
	}
	EXPECT_EQ(0, mirror_write(self->fd, self->mem, "b", 1));
	EXPECT_EQ('b', self->mem[0]);
	close(written[0]);
	close(written[1]);
	EXPECT_EQ(0, wait_for(pid));
	EXPECT_EQ(0, mirror_read(self->fd, self->mem, &c, 1));
	EXPECT_EQ('b', c);
}

TEST_F(mirror, is_that_of_one_process)
{
	pid_t pid;

	ASSERT_EQ(0, mirror_map(self->fd, self->mem, self->len));
	ASSERT_EQ(0, mirror_write(self->fd, self->mem, "a", 1));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		char c;

		if (mirror_read(self->fd, self->mem, &c, 1) != -1 || errno != EPERM)
			_exit(1);
		if (mirror_write(self->fd, self->mem, "b", 1) != -1 || errno != EPERM)
			_exit(2);
		if (mirror_prefetch(self->fd, self->mem, self->page) != -1 || errno != EPERM)
			_exit(3);
		if (mirror_map(self->fd, self->mem, self->page) != -1 || errno != EBUSY)
			_exit(4);
		_exit(mirror_stats(self->fd).faults == 1 ? 0 : 5);
	}
	EXPECT_EQ(0, wait_for(pid));
	EXPECT_EQ('a', self->mem[0]);
}

TEST_F(mirror, exit_empties_it)
{
	struct mmu_mirror_stats stats;
	char c;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		if (mirror_map(self->fd, self->mem, self->len))
			_exit(1);
		if (mirror_prefetch(self->fd, self->mem, self->len))
			_exit(2);
		_exit(mirror_stats(self->fd).pages == 8 ? 0 : 3);
	}
	ASSERT_EQ(0, wait_for(pid));

	stats = mirror_stats(self->fd);
	EXPECT_EQ(0, stats.pages);
	EXPECT_EQ(8, stats.dropped);
	EXPECT_ERRNO(EPERM, mirror_read(self->fd, self->mem, &c, 1));
	/* What is left can be replaced. */
	EXPECT_EQ(0, mirror_unmap(self->fd));
	EXPECT_EQ(0, mirror_map(self->fd, self->mem, self->len));
	EXPECT_EQ(0, mirror_read(self->fd, self->mem, &c, 1));
}

TEST_F(mirror, exec_empties_it)
{
	int input[2], output[2];
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe2(input, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(output, O_CLOEXEC));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		fcntl(self->fd, F_SETFD, 0);
		dup2(input[0], STDIN_FILENO);
		dup2(output[1], STDOUT_FILENO);
		if (mirror_map(self->fd, self->mem, self->len))
			_exit(1);
		if (mirror_prefetch(self->fd, self->mem, self->len))
			_exit(2);
		execl("/bin/cat", "cat", NULL);
		_exit(3);
	}
	close(output[1]);
	/* When cat answers, the exec is over. */
	EXPECT_EQ(1, write(input[1], "x", 1));
	EXPECT_EQ(1, read(output[0], &c, 1));
	EXPECT_EQ(0, mirror_stats(self->fd).pages);
	EXPECT_EQ(8, mirror_stats(self->fd).dropped);
	/* And it was not the exit that did it: cat waits for the end of its input. */
	EXPECT_EQ(0, waitpid(pid, NULL, WNOHANG));
	close(input[1]);
	EXPECT_EQ(0, wait_for(pid));
	close(input[0]);
	close(output[0]);
}

TEST_F(mirror, bad_ranges)
{
	char *kernel = (char *)-(1UL << 30);

	EXPECT_ERRNO(EINVAL, mirror_map(self->fd, self->mem, 0));
	EXPECT_ERRNO(EINVAL, mirror_map(self->fd, self->mem, -self->page));
	EXPECT_ERRNO(EINVAL, mirror_map(self->fd, self->mem, ~0UL & -self->page));
	EXPECT_ERRNO(EINVAL, mirror_map(self->fd, self->mem + 1, self->page));
	EXPECT_ERRNO(EINVAL, mirror_map(self->fd, self->mem, self->page + 1));
	EXPECT_ERRNO(EFAULT, mirror_map(self->fd, kernel, self->page));
	EXPECT_ERRNO(EFAULT, mirror_map(self->fd, 0, 1UL << 63));
	EXPECT_ERRNO(ENXIO, mirror_unmap(self->fd));
}

TEST_F(mirror, bad_accesses)
{
	char c;

	EXPECT_ERRNO(ENXIO, mirror_read(self->fd, self->mem, &c, 1));
	EXPECT_ERRNO(ENXIO, mirror_prefetch(self->fd, self->mem, 1));

	ASSERT_EQ(0, mirror_map(self->fd, self->mem, self->len));
	EXPECT_ERRNO(EBUSY, mirror_map(self->fd, self->mem, self->len));
	EXPECT_ERRNO(EINVAL, mirror_read(self->fd, self->mem, &c, 0));
	EXPECT_ERRNO(EINVAL, mirror_read(self->fd, self->mem, &c, ~0UL));
	EXPECT_ERRNO(EFAULT, mirror_read(self->fd, self->mem - 1, &c, 1));
	EXPECT_ERRNO(EFAULT, mirror_read(self->fd, self->mem, &c, self->len + 1));
	/* A buffer that can't be written to, or read from. */
	EXPECT_ERRNO(EFAULT, mirror_read(self->fd, self->mem, NULL, 1));
	EXPECT_ERRNO(EFAULT, mirror_write(self->fd, self->mem, NULL, 1));

	ASSERT_EQ(0, mirror_unmap(self->fd));
	EXPECT_ERRNO(ENXIO, mirror_unmap(self->fd));
	EXPECT_ERRNO(ENXIO, mirror_read(self->fd, self->mem, &c, 1));
}

TEST_F(mirror, bad_ioctls)
{
	struct mmu_mirror_range *cut;

	EXPECT_ERRNO(ENOTTY, ioctl(self->fd, 0, 0));
	EXPECT_ERRNO(ENOTTY, ioctl(self->fd, ~0U, 0));
	EXPECT_ERRNO(ENOTTY, ioctl(self->fd, _IO(MMU_MIRROR_MAGIC, 0x90), 0));
	EXPECT_ERRNO(ENOTTY, ioctl(self->fd, MMU_MIRROR_STATS + 1, 0));
	EXPECT_ERRNO(EFAULT, ioctl(self->fd, MMU_MIRROR_MAP, NULL));
	EXPECT_ERRNO(EFAULT, ioctl(self->fd, MMU_MIRROR_STATS, NULL));

	/* The second half of the argument is not mapped. */
	ASSERT_EQ(0, munmap(self->mem + self->page, self->page));
	cut = (void *)(self->mem + self->page - sizeof(*cut) / 2);
	EXPECT_ERRNO(EFAULT, ioctl(self->fd, MMU_MIRROR_MAP, cut));
	EXPECT_ERRNO(EFAULT, ioctl(self->fd, MMU_MIRROR_STATS, cut));
	EXPECT_ERRNO(ENXIO, mirror_unmap(self->fd));
}

TEST_F(mirror, memory_of_files)
{
	int exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	char *shared, *file, *other, c = 'x';

	shared = mmap(NULL, self->page, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, shared);
	file = mmap(NULL, self->page, PROT_READ | PROT_WRITE, MAP_PRIVATE, exe, 0);
	ASSERT_NE(MAP_FAILED, file);
	other = mmap(NULL, self->page, PROT_READ, MAP_PRIVATE, exe, 0);
	ASSERT_NE(MAP_FAILED, other);

	ASSERT_EQ(0, mirror_map(self->fd, shared, self->page));
	EXPECT_EQ(0, mirror_read(self->fd, shared, &c, 1));
	EXPECT_EQ(0, c);
	EXPECT_EQ(0, mirror_write(self->fd, shared, "a", 1));
	EXPECT_EQ('a', shared[0]);
	ASSERT_EQ(0, mirror_unmap(self->fd));

	/* The process gets a copy of its own. */
	ASSERT_EQ(0, mirror_map(self->fd, file, self->page));
	EXPECT_EQ(0, mirror_read(self->fd, file, &c, 1));
	EXPECT_EQ(0x7f, c);
	EXPECT_EQ(0, mirror_write(self->fd, file, "a", 1));
	EXPECT_EQ('a', file[0]);
	EXPECT_EQ(0x7f, other[0]);

	munmap(shared, self->page);
	munmap(file, self->page);
	munmap(other, self->page);
	close(exe);
}

TEST_F(mirror, mirror_of_unmapped_memory)
{
	char c, *hole = self->mem + self->page;

	ASSERT_EQ(0, munmap(hole, self->page));
	ASSERT_EQ(0, mirror_map(self->fd, self->mem, self->len));
	EXPECT_ERRNO(EFAULT, mirror_read(self->fd, hole, &c, 1));
	/* Up to the hole it is prefetched. */
	EXPECT_ERRNO(EFAULT, mirror_prefetch(self->fd, self->mem, self->len));
	EXPECT_EQ(1, mirror_stats(self->fd).pages);

	ASSERT_EQ(hole, mmap(hole, self->page, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT_EQ(0, mirror_read(self->fd, hole, &c, 1));
}

#ifdef __aarch64__
/* The process may write what it likes into the upper byte of an address. */
static void *tagged(void *addr)
{
	return (void *)((uintptr_t)addr | 5UL << 56);
}

TEST_F(mirror, tagged_addresses)
{
	char *mem = tagged(self->mem), c = 0;

	/* Or the kernel writes to no buffer with a tag. */
	ASSERT_EQ(0, prctl(PR_SET_TAGGED_ADDR_CTRL, PR_TAGGED_ADDR_ENABLE, 0, 0, 0));
	ASSERT_EQ(0, mirror_map(self->fd, mem, self->len));
	*mem = 'a';
	ASSERT_EQ(0, mirror_read(self->fd, mem, tagged(&c), 1));
	EXPECT_EQ('a', c);
	ASSERT_EQ(0, mirror_write(self->fd, mem + self->page, "b", 1));
	EXPECT_EQ('b', self->mem[self->page]);
	ASSERT_EQ(0, mirror_prefetch(self->fd, mem, self->len));
	EXPECT_EQ(8, mirror_stats(self->fd).pages);

	/* The driver is called for the memory. */
	ASSERT_EQ(0, munmap(self->mem, self->len));
	EXPECT_EQ(0, mirror_stats(self->fd).pages);
	EXPECT_ERRNO(EFAULT, mirror_read(self->fd, mem, &c, 1));
}
#endif

/* All that a process can map, next to nothing of which is used. */
TEST_F(mirror, huge_range)
{
	int bits = 64 - __builtin_clzl((uintptr_t)self->mem);

	ASSERT_EQ(0, mirror_map(self->fd, 0, (1UL << bits) - self->page));
	ASSERT_EQ(0, mirror_write(self->fd, self->mem, "a", 1));
	ASSERT_EQ(0, munmap(self->mem, self->page));
	EXPECT_EQ(0, mirror_stats(self->fd).pages);
	ASSERT_EQ(0, mirror_unmap(self->fd));
}

TEST_F(mirror, a_thousand_opens)
{
	struct rlimit limit = { 2048, 2048 };
	int fds[1000], i, c = 'a';

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	for (i = 0; i < 1000; i++) {
		fds[i] = open(MIRROR_DEVICE, O_RDWR | O_CLOEXEC);
		ASSERT_LE(0, fds[i]);
		ASSERT_EQ(0, mirror_map(fds[i], self->mem, self->page));
		ASSERT_EQ(0, mirror_write(fds[i], self->mem, &c, 1));
	}
	ASSERT_EQ(0, munmap(self->mem, self->page));
	for (i = 0; i < 1000; i++) {
		EXPECT_EQ(0, mirror_stats(fds[i]).pages);
		EXPECT_EQ(1, mirror_stats(fds[i]).dropped);
		close(fds[i]);
	}
}

static void ignore(int sig)
{
}

TEST_F(mirror, signals_interrupt)
{
	struct sigaction action = { .sa_handler = ignore };
	struct itimerval timer = { { 0, 5000 }, { 0, 5000 } };
	char *buf = malloc(self->len);
	int ret;

	ASSERT_EQ(0, mirror_map(self->fd, self->mem, self->len));
	ASSERT_EQ(0, sigaction(SIGALRM, &action, NULL));
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &timer, NULL));
	/* The harness's time limit ends it if it never happens. */
	do {
		errno = 0;
		ret = mirror_read(self->fd, self->mem, buf, self->len);
	} while (!ret);
	EXPECT_EQ(EINTR, errno);
	timer = (struct itimerval) {};
	setitimer(ITIMER_REAL, &timer, NULL);
	free(buf);
}

struct churn {
	char *mem;
	size_t len;
	atomic_int stop;
};

static void *churn(void *arg)
{
	struct churn *churn = arg;

	while (!churn->stop) {
		memset(churn->mem, 'a', churn->len);
		madvise(churn->mem, churn->len, MADV_DONTNEED);
		mprotect(churn->mem, churn->len, PROT_READ);
		mprotect(churn->mem, churn->len, PROT_READ | PROT_WRITE);
	}
	return NULL;
}

/* The device works while the process pulls the memory from under it. */
TEST_F(mirror, churn)
{
	struct churn arg = { .mem = self->mem, .len = self->len };
	struct timeval begin, now;
	struct mmu_mirror_stats stats;
	pthread_t thread;
	char buf[16];
	int i;

	ASSERT_EQ(0, mirror_map(self->fd, self->mem, self->len));
	ASSERT_EQ(0, pthread_create(&thread, NULL, churn, &arg));
	gettimeofday(&begin, NULL);
	do {
		ASSERT_EQ(0, mirror_read(self->fd, self->mem + self->page - 8, buf, 16));
		for (i = 0; i < 16; i++)
			ASSERT_TRUE(buf[i] == 0 || buf[i] == 'a' || buf[i] == 'b');
		if (mirror_write(self->fd, self->mem + self->page, "b", 1))
			ASSERT_EQ(EFAULT, errno);
		gettimeofday(&now, NULL);
	} while (now.tv_sec - begin.tv_sec < 3 || !mirror_stats(self->fd).dropped);
	arg.stop = 1;
	pthread_join(thread, NULL);

	ASSERT_EQ(0, munmap(self->mem, self->len));
	stats = mirror_stats(self->fd);
	EXPECT_EQ(0, stats.pages);
	EXPECT_LT(0, stats.dropped);
	/* Each page that was looked up was overtaken, or entered or replaced. */
	EXPECT_GE(stats.faults, stats.dropped + stats.retries);
}

TEST_HARNESS_MAIN
