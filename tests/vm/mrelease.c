// SPDX-License-Identifier: GPL-2.0
/*
 * process_mrelease(2) of a process whose memory is mirrored: its result, and
 * whether it frees the memory, in each state of the process.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <kselftest_harness.h>

#include "expect.h"
#include "files.h"
#include "held.h"
#include "page.h"
#include "uninterruptible.h"
#include "mirror.h"

#define PAGE		((long)page_size())
#define PAGES		512L
#define REFUSES		"/dev/list_refuses"
#define CGROUP		"/sys/fs/cgroup/frozen"

/* What a victim does beside having memory, which it shares with us. */
struct plan {
	atomic_int held;	/* the thread that cannot exit */
	atomic_int ready;
	atomic_int sharer;	/* the process that shares its memory */
	int has_sharer;
	int has_list_notifier;
	int file;		/* what the thread writes to; else it only waits */
};

FIXTURE(victim)
{
	struct plan *plan;
	int mirror;
	int pidfd;
	pid_t pid;
};

FIXTURE_SETUP(victim)
{
	self->plan = mmap(NULL, sizeof(*self->plan), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->plan);
	held = &self->plan->held;
	self->mirror = open(MIRROR_DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->mirror);
	self->pid = 0;
}

FIXTURE_TEARDOWN(victim)
{
	if (self->plan->sharer)
		kill(self->plan->sharer, SIGKILL);
	if (self->pid > 0) {
		kill(self->pid, SIGKILL);
		ptrace(PTRACE_DETACH, *held, NULL, NULL);
		waitpid(self->pid, NULL, 0);
		close(self->pidfd);
	}
	close(self->mirror);
}

static int share_memory(void *unused)
{
	for (;;)
		pause();
}

static void *write_to(void *plan)
{
	struct plan *p = plan;

	p->held = gettid();
	write(p->file, "x", 1);
	return NULL;
}

static void victim(struct plan *plan, int mirror)
{
	static char stack[16384];
	pthread_t thread;
	char *mem;

	if (plan->has_list_notifier && open(REFUSES, O_RDWR) < 0)
		die(REFUSES);
	mem = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		die("mmap");
	if (mirror_map(mirror, mem, PAGES * PAGE) ||
	    mirror_prefetch(mirror, mem, PAGES * PAGE))
		die("mirror");
	if (pthread_create(&thread, NULL, plan->file ? write_to : held_thread,
			   plan))
		die("pthread_create");
	if (plan->has_sharer)
		plan->sharer = clone(share_memory, stack + sizeof(stack),
				     CLONE_VM | SIGCHLD, NULL);
	plan->ready = 1;
	for (;;)
		pause();
}

/* Starts the victim, and returns whether it is there. */
static int start(FIXTURE_DATA(victim) *self)
{
	self->pid = fork();
	if (!self->pid)
		victim(self->plan, self->mirror);
	while (!*held || !self->plan->ready) {
		if (waitpid(self->pid, NULL, WNOHANG)) {
			self->pid = 0;
			return 0;
		}
		nap();
	}
	self->pidfd = syscall(SYS_pidfd_open, self->pid, 0);
	return self->pidfd >= 0;
}

/* The error of process_mrelease(2), or 0. */
static int mrelease(FIXTURE_DATA(victim) *self)
{
	return syscall(SYS_process_mrelease, self->pidfd, 0) ? errno : 0;
}

/* The pages that the device has. */
static long long mirrored(FIXTURE_DATA(victim) *self)
{
	return mirror_stats(self->mirror).pages;
}

/* How often the device was called without being allowed to sleep. */
static long long asked(FIXTURE_DATA(victim) *self)
{
	return mirror_stats(self->mirror).nonblock;
}

/* Has the thread that is held not exit, and kills the process. */
static void kill_and_hold(FIXTURE_DATA(victim) *self)
{
	kill(self->pid, SIGKILL);
	wait_until_held(*held);
}

/* Whether the process exits, which it must now. */
static int exits(FIXTURE_DATA(victim) *self)
{
	if (!BECOMES(waitpid(self->pid, NULL, WNOHANG) == self->pid))
		return 0;
	self->pid = 0;
	return 1;
}

/* What must not have changed, as the process was not killed. */
#define EXPECT_UNTOUCHED()						\
	do {								\
		EXPECT_EQ(PAGES, mirrored(self));			\
		EXPECT_EQ(0, asked(self));				\
		EXPECT_LE(PAGES * PAGE / 1024, anon_kb(*held));		\
	} while (0)

/* What has to be when the memory is back and the process is not gone. */
#define EXPECT_REAPED(times)						\
	do {								\
		EXPECT_EQ(0, mirrored(self));				\
		EXPECT_EQ(times, asked(self));				\
		EXPECT_EQ(0, anon_kb(*held));				\
	} while (0)

TEST_F(victim, before_the_kill)
{
	ASSERT_TRUE(start(self));
	EXPECT_EQ(EINVAL, mrelease(self));
	EXPECT_UNTOUCHED();
}

TEST_F(victim, after_the_exit)
{
	siginfo_t info;

	ASSERT_TRUE(start(self));
	kill(self->pid, SIGKILL);
	ASSERT_EQ(0, waitid(P_PID, self->pid, &info, WEXITED | WNOWAIT));
	/* It is a zombie. */
	EXPECT_EQ(ESRCH, mrelease(self));
	EXPECT_TRUE(exits(self));
	EXPECT_EQ(ESRCH, mrelease(self));
	EXPECT_EQ(0, mirrored(self));
	EXPECT_EQ(0, asked(self));
}

TEST_F(victim, twice)
{
	ASSERT_TRUE(start(self));
	hold(*held);
	kill_and_hold(self);
	EXPECT_EQ(0, mrelease(self));
	EXPECT_REAPED(1);
	/* There is nothing left, and nothing wrong with that. */
	EXPECT_EQ(0, mrelease(self));
	EXPECT_REAPED(2);
	ptrace(PTRACE_DETACH, *held, NULL, NULL);
	EXPECT_TRUE(exits(self));
}

TEST_F(victim, list_notifier_refuses)
{
	self->plan->has_list_notifier = 1;
	ASSERT_TRUE(start(self));
	hold(*held);
	kill_and_hold(self);
	EXPECT_EQ(EAGAIN, mrelease(self));
	/*
	 * What became of that must not be in the way when the process closes
	 * the mirror on its way out.
	 */
	ptrace(PTRACE_DETACH, *held, NULL, NULL);
	EXPECT_TRUE(exits(self));
	EXPECT_EQ(0, mirrored(self));
}

TEST_F(victim, in_a_frozen_cgroup)
{
	char pid[16];

	ASSERT_TRUE(start(self));
	ASSERT_TRUE(!mkdir(CGROUP, 0755) || errno == EEXIST);
	snprintf(pid, sizeof(pid), "%d", self->pid);
	ASSERT_TRUE(write_file(CGROUP "/cgroup.procs", pid));
	hold(*held);
	ASSERT_TRUE(write_file(CGROUP "/cgroup.freeze", "1"));
	while (system("grep -q 'frozen 1' " CGROUP "/cgroup.events"))
		nap();
	EXPECT_EQ(EINVAL, mrelease(self));
	EXPECT_UNTOUCHED();

	kill_and_hold(self);
	EXPECT_EQ(0, mrelease(self));
	EXPECT_REAPED(1);
	/* It exits, although nobody thaws it. */
	ptrace(PTRACE_DETACH, *held, NULL, NULL);
	EXPECT_TRUE(exits(self));
	EXPECT_EQ(0, rmdir(CGROUP));
}

TEST_F(victim, stopped)
{
	int status;

	ASSERT_TRUE(start(self));
	kill(self->pid, SIGSTOP);
	ASSERT_EQ(self->pid, waitpid(self->pid, &status, WUNTRACED));
	ASSERT_TRUE(WIFSTOPPED(status));
	EXPECT_EQ(EINVAL, mrelease(self));
	EXPECT_UNTOUCHED();

	hold(*held);
	kill_and_hold(self);
	EXPECT_EQ(0, mrelease(self));
	EXPECT_REAPED(1);
	ptrace(PTRACE_DETACH, *held, NULL, NULL);
	EXPECT_TRUE(exits(self));
}

/* Another process has the memory, too, and is not about to exit. */
TEST_F(victim, shares_its_memory)
{
	self->plan->has_sharer = 1;
	ASSERT_TRUE(start(self));
	ASSERT_LT(0, (pid_t)self->plan->sharer);
	hold(*held);
	kill_and_hold(self);
	EXPECT_EQ(EINVAL, mrelease(self));
	EXPECT_UNTOUCHED();

	kill(self->plan->sharer, SIGKILL);
	EXPECT_EQ(0, mrelease(self));
	EXPECT_REAPED(1);
	ptrace(PTRACE_DETACH, *held, NULL, NULL);
	EXPECT_TRUE(exits(self));
}

TEST_F(victim, in_uninterruptible_sleep)
{
	struct lock lock;

	ASSERT_TRUE(take_lock(&lock));
	self->plan->file = lock.file;
	ASSERT_TRUE(start(self));
	while (state(*held) != 'D')
		nap();
	EXPECT_EQ(EINVAL, mrelease(self));
	EXPECT_UNTOUCHED();

	kill(self->pid, SIGKILL);
	EXPECT_EQ(0, mrelease(self));
	EXPECT_EQ('D', state(*held));
	EXPECT_REAPED(1);

	EXPECT_TRUE(release_lock(&lock));
	EXPECT_TRUE(exits(self));
}

TEST_HARNESS_MAIN
