// SPDX-License-Identifier: GPL-2.0
/*
 * Tests that the kernel's own hmm-tests.c lacks, or combines with a migration
 * to device memory, which the Rust driver does not have.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <kselftest_harness.h>
#include <lib/test_hmm_uapi.h>

#include "expect.h"
#include "files.h"
#include "page.h"

#define PAGES		16
#define HUGE_PAGE	huge_page_size()

FIXTURE(hmm)
{
	int fd;
	int other_fd;
	size_t page;
	size_t len;
	char *mem;
	char *data;
};

FIXTURE_SETUP(hmm)
{
	self->page = sysconf(_SC_PAGESIZE);
	self->len = PAGES * self->page;
	self->fd = open("/dev/hmm_dmirror0", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->fd);
	self->other_fd = open("/dev/hmm_dmirror1", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->other_fd);
	self->mem = mmap(NULL, self->len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	self->data = calloc(1, HUGE_PAGE);
	ASSERT_NE(NULL, self->data);
}

FIXTURE_TEARDOWN(hmm)
{
	close(self->fd);
	close(self->other_fd);
	munmap(self->mem, self->len);
	free(self->data);
}

/* The number of faults that it took the device, or a negative errno. */
static int command(int fd, unsigned long request, void *addr, void *data,
		   size_t pages)
{
	struct hmm_dmirror_cmd cmd = {
		.addr = (uintptr_t)addr,
		.ptr = (uintptr_t)data,
		.npages = pages,
	};

	if (ioctl(fd, request, &cmd))
		return -errno;
	if (request != HMM_DMIRROR_CHECK_EXCLUSIVE &&
	    request != HMM_DMIRROR_RELEASE && cmd.cpages != pages)
		return -ERANGE;
	return cmd.faults;
}

/* Runs in a child, which must not use the macros of the harness. */
static int wait_for(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static int is_filled(const char *mem, char value, size_t len)
{
	while (len && *mem == value) {
		mem++;
		len--;
	}
	return !len;
}

/* The device of a child writes: fork(2) has made the pages read-only. */
static int write_in_child(char *mem, char *data, size_t len, size_t page)
{
	int fd = open("/dev/hmm_dmirror0", O_RDWR);

	if (fd < 0 || !is_filled(mem, 'p', len))
		return 1;
	memset(data, 'c', len);
	if (command(fd, HMM_DMIRROR_WRITE, mem, data, len / page) != 1)
		return 2;
	return is_filled(mem, 'c', len) ? 0 : 3;
}

TEST_F(hmm, child_gets_a_copy)
{
	pid_t pid;

	memset(self->mem, 'p', self->len);
	pid = fork();
	if (!pid)
		_exit(write_in_child(self->mem, self->data, self->len,
				     self->page));
	EXPECT_EQ(0, wait_for(pid));
	EXPECT_TRUE(is_filled(self->mem, 'p', self->len));
}

TEST_F(hmm, child_gets_a_copy_of_a_huge_page)
{
	char *mem = mmap(NULL, 2 * HUGE_PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *huge;
	pid_t pid;

	ASSERT_NE(MAP_FAILED, mem);
	huge = (char *)(((uintptr_t)mem + HUGE_PAGE - 1) & -HUGE_PAGE);
	ASSERT_EQ(0, madvise(huge, HUGE_PAGE, MADV_HUGEPAGE));
	memset(huge, 'p', HUGE_PAGE);
	pid = fork();
	if (!pid)
		_exit(write_in_child(huge, self->data, HUGE_PAGE, self->page));
	EXPECT_EQ(0, wait_for(pid));
	EXPECT_TRUE(is_filled(huge, 'p', HUGE_PAGE));
	munmap(mem, 2 * HUGE_PAGE);
}

TEST_F(hmm, snapshot_of_what_is_there)
{
	volatile char *mem = self->mem;
	unsigned char *m = (unsigned char *)self->data;
	size_t page = self->page;

	/* Not readable, not mapped, zeroes, read-only, writable, none yet. */
	ASSERT_EQ(0, mprotect(self->mem, page, PROT_NONE));
	ASSERT_EQ(0, munmap(self->mem + page, page));
	ASSERT_EQ(0, mem[2 * page]);
	mem[3 * page] = 1;
	ASSERT_EQ(0, mprotect(self->mem + 3 * page, page, PROT_READ));
	mem[4 * page] = 1;

	ASSERT_EQ(0, command(self->fd, HMM_DMIRROR_SNAPSHOT, self->mem, m, 6));
	EXPECT_EQ(HMM_DMIRROR_PROT_ERROR, m[0]);
	EXPECT_EQ(HMM_DMIRROR_PROT_ERROR, m[1]);
	EXPECT_EQ(HMM_DMIRROR_PROT_ZERO | HMM_DMIRROR_PROT_READ, m[2]);
	EXPECT_EQ(HMM_DMIRROR_PROT_READ, m[3]);
	EXPECT_EQ(HMM_DMIRROR_PROT_WRITE, m[4]);
	EXPECT_EQ(HMM_DMIRROR_PROT_NONE, m[5]);
}

TEST_F(hmm, two_devices_share_memory)
{
	memset(self->data, 'd', self->len);
	ASSERT_EQ(1, command(self->fd, HMM_DMIRROR_WRITE, self->mem, self->data,
			     PAGES));
	memset(self->data, 0, self->len);
	ASSERT_EQ(1, command(self->other_fd, HMM_DMIRROR_READ, self->mem,
			     self->data, PAGES));
	EXPECT_TRUE(is_filled(self->data, 'd', self->len));
}

TEST_F(hmm, exclusive_takes_from_other_devices)
{
	int fds[] = { self->fd, self->other_fd };

	memset(self->mem, 'x', self->len);
	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(0, command(fds[i % 2], HMM_DMIRROR_EXCLUSIVE,
				     self->mem, self->data, PAGES));
		EXPECT_TRUE(is_filled(self->data, 'x', self->len));
		EXPECT_EQ(-EPERM, command(fds[i % 2],
					  HMM_DMIRROR_CHECK_EXCLUSIVE,
					  self->mem, NULL, PAGES));
		EXPECT_EQ(0, command(fds[1 - i % 2],
				     HMM_DMIRROR_CHECK_EXCLUSIVE, self->mem,
				     NULL, PAGES));
	}
	EXPECT_TRUE(is_filled(self->mem, 'x', self->len));
	EXPECT_EQ(0, command(fds[1], HMM_DMIRROR_CHECK_EXCLUSIVE, self->mem,
			     NULL, PAGES));
}

TEST_F(hmm, what_may_not_be_done_fails)
{
	char *mem = self->mem, *data = self->data;
	struct hmm_dmirror_cmd cmd = {};

	EXPECT_EQ(-EINVAL, command(self->fd, HMM_DMIRROR_READ, mem + 1, data, 1));
	EXPECT_EQ(-EINVAL, command(self->fd, HMM_DMIRROR_READ, mem, data, 0));
	EXPECT_EQ(-EINVAL, command(self->fd, HMM_DMIRROR_READ, mem, data, -1));
	EXPECT_EQ(-EINVAL, command(self->fd, _IOWR('H', 0x7f, cmd), mem, data, 1));
	EXPECT_EQ(-EFAULT, command(self->fd, HMM_DMIRROR_READ, mem, NULL, 1));
	EXPECT_EQ(-EFAULT, command(self->fd, HMM_DMIRROR_WRITE, mem, NULL, 1));
	EXPECT_EQ(-1, ioctl(self->fd, HMM_DMIRROR_READ, NULL));
	EXPECT_EQ(EFAULT, errno);

	ASSERT_EQ(0, mprotect(mem, self->page, PROT_READ));
	EXPECT_EQ(-EPERM, command(self->fd, HMM_DMIRROR_WRITE, mem, data, 1));
	EXPECT_EQ(-EFAULT, command(self->fd, HMM_DMIRROR_EXCLUSIVE, mem, data, 1));
	ASSERT_EQ(0, munmap(mem, self->page));
	EXPECT_EQ(-EFAULT, command(self->fd, HMM_DMIRROR_READ, mem, data, 1));
	EXPECT_EQ(-EFAULT, command(self->fd, HMM_DMIRROR_READ_UNLOCKED, mem,
				   data, 1));
}

#ifdef __aarch64__
/* The C driver finds no memory there. */
TEST_F(hmm, tagged_addresses)
{
	char *mem = (char *)((uintptr_t)self->mem | 5UL << 56);

	memset(mem, 'a', self->len);
	EXPECT_LE(0, command(self->fd, HMM_DMIRROR_READ, mem, self->data, PAGES));
	EXPECT_TRUE(is_filled(self->data, 'a', self->len));
	EXPECT_EQ(0, command(self->fd, HMM_DMIRROR_EXCLUSIVE, mem, self->data, PAGES));
	EXPECT_EQ(-EPERM, command(self->fd, HMM_DMIRROR_CHECK_EXCLUSIVE, self->mem, NULL, PAGES));
	memset(self->data, 'd', self->len);
	EXPECT_LE(0, command(self->fd, HMM_DMIRROR_WRITE, mem, self->data, PAGES));
	EXPECT_TRUE(is_filled(self->mem, 'd', self->len));
}
#endif

/* The kernel has no map of it, and would oops. */
TEST_F(hmm, exclusive_in_a_private_mapping_of_a_file)
{
	int fds[] = { self->fd, self->other_fd };
	int file = memfd_create("private", 0);
	char *mem;

	ASSERT_LE(0, file);
	ASSERT_EQ(0, ftruncate(file, self->page));
	mem = mmap(NULL, self->page, PROT_READ | PROT_WRITE, MAP_PRIVATE, file,
		   0);
	ASSERT_NE(MAP_FAILED, mem);

	/* The first gets a copy of the page, and others one that is exclusive. */
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, command(fds[i % 2], HMM_DMIRROR_EXCLUSIVE, mem,
				     self->data, 1));
	munmap(mem, self->page);
	close(file);
}

/*
 * The process has given up the contents of the pages, and may still write to
 * them. Writes of the device must not count as given up.
 */
TEST_F(hmm, what_is_written_is_kept)
{
	size_t half = self->len / 2;

	memset(self->mem, 'a', self->len);
	ASSERT_EQ(0, madvise(self->mem, self->len, MADV_FREE));
	memset(self->data, 'd', half);
	EXPECT_EQ(1, command(self->fd, HMM_DMIRROR_WRITE, self->mem, self->data,
			     PAGES / 2));
	ASSERT_EQ(0, madvise(self->mem, self->len, MADV_PAGEOUT));
	EXPECT_TRUE(is_filled(self->mem, 'd', half));
	/* Else nothing was reclaimed. */
	EXPECT_TRUE(is_filled(self->mem + half, 0, half));
}

TEST_F(hmm, secret_memory_stays_secret)
{
	int fd = syscall(SYS_memfd_secret, 0);
	char *mem;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, self->page));
	mem = mmap(NULL, self->page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, mem);
	mem[0] = 's';

	EXPECT_EQ(-EFAULT, command(self->fd, HMM_DMIRROR_READ, mem,
				   self->data, 1));
	EXPECT_EQ(-EFAULT, command(self->fd, HMM_DMIRROR_WRITE, mem,
				   self->data, 1));
	EXPECT_EQ('s', mem[0]);
	munmap(mem, self->page);
	close(fd);
}

TEST_F(hmm, process_is_gone)
{
	int fds[2], errors = 0;
	pid_t pid, parent;

	ASSERT_EQ(0, pipe(fds));
	pid = fork();
	if (!pid) {
		/* Its memory is mirrored; its child outlives it. */
		int fd = open("/dev/hmm_dmirror0", O_RDWR);

		command(fd, HMM_DMIRROR_READ, self->mem, self->data, PAGES);
		parent = getpid();
		if (fork())
			_exit(0);
		while (getppid() == parent)
			usleep(1000);
		/* It is reaped, but may not have been torn down yet. */
		do {
			errors = command(fd, HMM_DMIRROR_READ, self->mem,
					 self->data, PAGES);
		} while (errors >= 0);
		write(fds[1], &errors, sizeof(errors));
		_exit(0);
	}
	EXPECT_EQ(0, wait_for(pid));
	EXPECT_EQ(sizeof(errors), read(fds[0], &errors, sizeof(errors)));
	EXPECT_EQ(-EFAULT, errors);
	close(fds[0]);
	close(fds[1]);
}

/*
 * As when memory is short: the process is killed, and its memory is taken while
 * it cannot exit. The device gets a non-blocking invalidation.
 */
TEST_F(hmm, memory_is_reaped)
{
	int fds[2], status, pidfd, fd;
	pid_t pid;

	ASSERT_EQ(0, pipe(fds));
	pid = fork();
	if (!pid) {
		/* What it has open before is the mirror of its parent. */
		fd = open("/dev/hmm_dmirror0", O_RDWR);
		memset(self->mem, 'r', self->len);
		write(fds[1], &fd, sizeof(fd));
		pause();
		_exit(0);
	}
	ASSERT_EQ(sizeof(fd), read(fds[0], &fd, sizeof(fd)));
	pidfd = syscall(SYS_pidfd_open, pid, 0);
	ASSERT_LE(0, pidfd);
	fd = syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	ASSERT_LE(0, fd);
	EXPECT_EQ(1, command(fd, HMM_DMIRROR_READ, self->mem, self->data,
			     PAGES));
	EXPECT_TRUE(is_filled(self->data, 'r', self->len));

	ASSERT_EQ(0, ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACEEXIT));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(SIGTRAP | PTRACE_EVENT_EXIT << 8, status >> 8);
	EXPECT_EQ(0, command(fd, HMM_DMIRROR_READ, self->mem, self->data,
			     PAGES));
	EXPECT_EQ(0, syscall(SYS_process_mrelease, pidfd, 0));
	EXPECT_EQ(-EFAULT, command(fd, HMM_DMIRROR_READ, self->mem, self->data,
				   PAGES));
	EXPECT_EQ(-EFAULT, command(fd, HMM_DMIRROR_READ_UNLOCKED, self->mem,
				   self->data, PAGES));

	ptrace(PTRACE_DETACH, pid, NULL, NULL);
	EXPECT_EQ(pid, waitpid(pid, NULL, 0));
	close(fd);
	close(pidfd);
	close(fds[0]);
	close(fds[1]);
}

static void ignore(int sig)
{
}

/* What the process asks for may take minutes. The C driver goes on until then. */
TEST_F(hmm, signal_ends_a_long_snapshot)
{
	const size_t part = 2UL << 20, parts = 256;
	struct itimerval timer = { { 0, 50000 }, { 0, 50000 } };
	struct sigaction action = { .sa_handler = ignore };
	int file = memfd_create("result", 0);
	char *result;

	ASSERT_LE(0, file);
	ASSERT_EQ(0, ftruncate(file, part));
	result = mmap(NULL, parts * part, PROT_NONE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ASSERT_NE(MAP_FAILED, result);
	/* Room for a byte of each page, without the memory for it. */
	for (size_t i = 0; i < parts; i++)
		ASSERT_NE(MAP_FAILED, mmap(result + i * part, part,
					   PROT_READ | PROT_WRITE,
					   MAP_SHARED | MAP_FIXED, file, 0));

	ASSERT_EQ(0, sigaction(SIGALRM, &action, NULL));
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &timer, NULL));
	EXPECT_EQ(-EINTR, command(self->fd, HMM_DMIRROR_SNAPSHOT,
				  (void *)self->page, result, parts * part));
	timer = (struct itimerval) {};
	setitimer(ITIMER_REAL, &timer, NULL);
	munmap(result, parts * part);
	close(file);
}

/* The Rust driver says so; the C one does it. */
TEST_F(hmm, there_is_no_memory_of_the_device)
{
	static const unsigned long requests[] = {
		HMM_DMIRROR_MIGRATE_TO_DEV,
		HMM_DMIRROR_MIGRATE_TO_SYS,
		HMM_DMIRROR_FLAGS,
	};

	for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++)
		EXPECT_EQ(-EOPNOTSUPP, command(self->fd, requests[i], self->mem,
					       self->data, 1));
	EXPECT_EQ(0, command(self->fd, HMM_DMIRROR_RELEASE, self->mem,
			     self->data, 1));
}

struct churn {
	char *mem;
	size_t page;
	atomic_bool stop;
};

/* Takes pages away, in all the ways that do not change what is in them. */
static void *churn(void *arg)
{
	struct churn *churn = arg;

	for (unsigned int i = 0; !atomic_load(&churn->stop); i++) {
		char *addr = churn->mem + i % PAGES * churn->page;

		switch (i % 7) {
		case 0:
			mprotect(addr, churn->page, PROT_READ);
			mprotect(addr, churn->page, PROT_READ | PROT_WRITE);
			break;
		case 1:
			if (!fork())
				_exit(0);
			wait(NULL);
			break;
		default:
			madvise(addr, churn->page, MADV_DONTNEED);
		}
	}
	return NULL;
}

/*
 * While its pages come and go, the device only sees their contents: zeroes, or
 * what it wrote. Pages that were freed get other contents soon.
 */
TEST_F(hmm, churn)
{
	static const unsigned long requests[] = {
		HMM_DMIRROR_WRITE,
		HMM_DMIRROR_EXCLUSIVE,
		HMM_DMIRROR_READ,
		HMM_DMIRROR_READ_UNLOCKED,
	};
	struct churn shared = { .mem = self->mem, .page = self->page };
	time_t end = time(NULL) + 10;
	unsigned int foreign = 0, done = 0;
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, churn, &shared));
	for (unsigned int i = 0; time(NULL) < end || done <= 100; i++) {
		unsigned long request = requests[i % 4];
		int ret;

		for (size_t p = 0; p < PAGES; p++)
			memset(self->data + p * self->page, 'A' + p, self->page);
		ret = command(self->fd, request, self->mem, self->data, PAGES);
		/* Nothing else can be wrong than that a page is not there. */
		if (ret < 0) {
			EXPECT_TRUE(ret == -EPERM || ret == -EFAULT ||
				    ret == -ENOENT || ret == -EBUSY) {
				TH_LOG("request %u: %s", i % 4, strerror(-ret));
			}
			continue;
		}
		done++;
		for (size_t b = 0; b < self->len; b++) {
			char c = self->data[b];

			foreign += c && c != (char)('A' + b / self->page);
		}
	}
	atomic_store(&shared.stop, true);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, foreign);
}

/* A reference to each page that is forgotten would keep it for ever. */
TEST_F(hmm, exclusive_pages_are_freed)
{
	size_t len = 1024 * self->page;
	char *data = malloc(len);
	char *mem = mmap(NULL, len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long before, limit = patience() * 100;

	ASSERT_NE(NULL, data);
	ASSERT_NE(MAP_FAILED, mem);
	memset(data, 'x', len);
	before = free_kb();
	for (int i = 0; i < 16; i++) {
		memset(mem, 'x', len);
		ASSERT_EQ(0, command(self->fd, HMM_DMIRROR_EXCLUSIVE, mem, data,
				     1024));
		ASSERT_EQ(0, madvise(mem, len, MADV_DONTNEED));
	}
	/* They would be 64 MiB. Others take memory meanwhile, and give it back. */
	while (free_kb() < before - 32 * 1024 && limit--)
		usleep(10000);
	EXPECT_LE(before - 32 * 1024, free_kb());
	munmap(mem, len);
	free(data);
}

TEST_HARNESS_MAIN
