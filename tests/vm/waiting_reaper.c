// SPDX-License-Identifier: GPL-2.0
/*
 * Drivers that have to wait before they give memory back, and their waiters:
 * the OOM reaper that gave up, or process_mrelease(2).
 *
 * Each victim has a memory cgroup of its own, so that the OOM killer kills it
 * and no other.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include <kselftest_harness.h>

#include "expect.h"
#include "files.h"
#include "held.h"

#ifndef PROCESS_MRELEASE_WAIT
#define PROCESS_MRELEASE_WAIT	0x0001U
#endif

#define MEMORY		(8UL << 20)
#define LEFT		"1M"		/* what the cgroup may keep */
#define VICTIMS		3
#define DEVICE		"/dev/slow_mmu_notifier"
#define PARAMETER(name)	"/sys/module/slow_mmu_notifier/parameters/" name
#define SWITCH		"/proc/sys/vm/oom_reaper_waits"
#define CGROUPS		"/sys/fs/cgroup/"

/* What the driver counts. */
struct stats {
	unsigned int refused, waiting, waited;
};

struct victim {
	/* Shared with the victim. */
	struct plan {
		atomic_int held;	/* the thread that cannot exit */
		atomic_int ready;
		int protects;		/* the thread changes its mappings */
		int dev;
		char *mem;
	} *plan;
	char cgroup[64];
	int dev;
	pid_t pid;
	pid_t killer;		/* brings the OOM killer, and goes on when that does */
};

FIXTURE(reaper)
{
	struct victim victims[VICTIMS];
	int kmsg;
	char *log;		/* of the kernel, since the test began */
	size_t logged;
};

#define LOG		(4UL << 20)

FIXTURE_SETUP(reaper)
{
	self->kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ASSERT_LE(0, self->kmsg);
	ASSERT_EQ(0, lseek(self->kmsg, 0, SEEK_END));
	self->log = calloc(1, LOG);
	ASSERT_NE(NULL, self->log);
	self->logged = 0;
	memset(self->victims, 0, sizeof(self->victims));
	ASSERT_TRUE(write_file(CGROUPS "cgroup.subtree_control", "+memory"));
	ASSERT_TRUE(write_file(SWITCH, "1"));
	ASSERT_TRUE(write_file(PARAMETER("refuse"), "1"));
	ASSERT_TRUE(write_file(PARAMETER("wait_ms"), "0"));
	ASSERT_TRUE(write_file(PARAMETER("list"), "0"));
}

/* Ends it, whatever the test has left of it. */
static void end(struct victim *v)
{
	if (!v->plan)
		return;
	write(v->dev, "g", 1);
	if (v->pid > 0) {
		kill(v->pid, SIGKILL);
		ptrace(PTRACE_DETACH, v->plan->held, NULL, NULL);
		waitpid(v->pid, NULL, 0);
	}
	if (v->killer)
		waitpid(v->killer, NULL, 0);
	close(v->dev);
	rmdir(v->cgroup);
}

FIXTURE_TEARDOWN(reaper)
{
	for (int i = 0; i < VICTIMS; i++)
		end(&self->victims[i]);
	write_file(SWITCH, "0");
}

static void *protect(void *plan)
{
	struct plan *p = plan;

	/* From now on each change of the mappings waits for the driver. */
	while (!p->ready)
		nap();
	if (write(p->dev, "h", 1) != 1)
		die(DEVICE);
	p->held = gettid();
	mprotect(p->mem, MEMORY / 2, PROT_READ);
	for (;;)
		pause();
}

static void run_victim(struct victim *v)
{
	struct plan *plan = v->plan;
	char procs[80];
	pthread_t thread;

	snprintf(procs, sizeof(procs), "%s/cgroup.procs", v->cgroup);
	if (!write_file(procs, "0"))
		die(procs);
	plan->mem = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (plan->mem == MAP_FAILED)
		die("mmap");
	memset(plan->mem, 1, MEMORY);
	held = &plan->held;
	if (pthread_create(&thread, NULL, plan->protects ? protect : held_thread, plan))
		die("pthread_create");
	if (write(v->dev, "m", 1) != 1)
		die(DEVICE);
	plan->ready = 1;
	for (;;)
		pause();
}

/* Starts a victim, and returns it, or NULL. It can exit if it @protects. */
static struct victim *start(FIXTURE_DATA(reaper) * self, int number, int protects)
{
	struct victim *v = &self->victims[number];

	snprintf(v->cgroup, sizeof(v->cgroup), CGROUPS "victim%d", number);
	if (mkdir(v->cgroup, 0755) && errno != EEXIST)
		return NULL;
	v->dev = open(DEVICE, O_RDWR | O_CLOEXEC);
	v->plan = mmap(NULL, sizeof(*v->plan), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (v->dev < 0 || v->plan == MAP_FAILED)
		return NULL;
	v->plan->protects = protects;
	v->plan->dev = v->dev;
	v->pid = fork();
	if (!v->pid)
		run_victim(v);
	while (!v->plan->held || !v->plan->ready) {
		if (waitpid(v->pid, NULL, WNOHANG)) {
			v->pid = 0;
			return NULL;
		}
		nap();
	}
	if (!protects)
		hold(v->plan->held);
	return v;
}

/* Has the OOM killer kill the victim, which it waits for. */
static void oom_kill(struct victim *v)
{
	char max[80];

	snprintf(max, sizeof(max), "%s/memory.max", v->cgroup);
	v->killer = fork();
	if (!v->killer)
		_exit(!write_file(max, LEFT));
	if (!v->plan->protects)
		wait_until_held(v->plan->held);
}

static int hold_memory(struct victim *v)
{
	return write(v->dev, "h", 1) == 1;
}

static int let_go(struct victim *v)
{
	return write(v->dev, "g", 1) == 1;
}

/* All ones if it fails, which no test expects. */
static struct stats stats(struct victim *v)
{
	struct stats stats;

	if (read(v->dev, &stats, sizeof(stats)) != sizeof(stats))
		memset(&stats, 0xff, sizeof(stats));
	return stats;
}

/*
 * The microseconds at which the kernel logged "oom_reaper: @what@pid (", or 0 if
 * it has not since the test began.
 */
static long long logged(FIXTURE_DATA(reaper) * self, const char *what, pid_t pid)
{
	char text[128], record[8192], *found;
	long long us = 0;
	ssize_t length;

	/* EPIPE: some were lost. */
	while ((length = read(self->kmsg, record, sizeof(record))) > 0 || errno == EPIPE) {
		if (length <= 0 || self->logged + length >= LOG)
			continue;
		memcpy(self->log + self->logged, record, length);
		self->logged += length;
	}
	snprintf(text, sizeof(text), ";oom_reaper: %s%d (", what, pid);
	found = strstr(self->log, text);
	if (found) {
		/* Its record begins with priority, number, microseconds. */
		while (found > self->log && found[-1] != '\n')
			found--;
		sscanf(found, "%*d,%*d,%lld,", &us);
	}
	return us;
}

#define EXPECT_LOGGED(what, v)						\
	EXPECT_TRUE(BECOMES(logged(self, what, (v)->pid)))

#define GAVE_UP		"unable to reap pid:"
#define WAITING		"waiting for process "
#define REAPED		"reaped process "

/* The OOM killer goes on: whoever needed memory can look elsewhere. */
static int oom_killer_goes_on(struct victim *v)
{
	int status = 1;

	if (!BECOMES(waitpid(v->killer, &status, WNOHANG) == v->killer))
		return 0;
	v->killer = 0;
	return !status;
}

/* Whether the victim exits, which it must now. */
static int exits(struct victim *v)
{
	ptrace(PTRACE_DETACH, v->plan->held, NULL, NULL);
	return BECOMES(waitpid(v->pid, NULL, WNOHANG) == v->pid) ? (v->pid = 0, 1) : 0;
}

#define EXPECT_ALL_THERE(v)	EXPECT_LE((long)MEMORY / 1024, anon_kb((v)->plan->held))

TEST_F(reaper, switch_is_on_or_off)
{
	EXPECT_FALSE(write_file(SWITCH, "2"));
	EXPECT_FALSE(write_file(SWITCH, "-1"));
	EXPECT_TRUE(write_file(SWITCH, "0"));
}

TEST_F(reaper, only_gives_up_if_switched_off)
{
	struct victim *v, *next;

	ASSERT_TRUE(write_file(SWITCH, "0"));
	v = start(self, 0, 0);
	ASSERT_NE(NULL, v);
	ASSERT_TRUE(hold_memory(v));
	oom_kill(v);
	EXPECT_LOGGED(GAVE_UP, v);
	EXPECT_TRUE(oom_killer_goes_on(v));
	EXPECT_TRUE(let_go(v));

	/* The reaper is through with the first when it has the next. */
	ASSERT_TRUE(write_file(PARAMETER("refuse"), "0"));
	next = start(self, 1, 0);
	ASSERT_NE(NULL, next);
	oom_kill(next);
	EXPECT_LOGGED(REAPED, next);
	EXPECT_ALL_THERE(v);
	EXPECT_FALSE(logged(self, WAITING, v->pid));
	EXPECT_FALSE(logged(self, REAPED, v->pid));
	EXPECT_LE(10, stats(v).refused);
	EXPECT_EQ(0, stats(v).waited);

	EXPECT_TRUE(exits(v));
}

/* The driver could let go at once, but has no way to do that without blocking. */
TEST_F(reaper, waits_for_a_driver_that_always_refuses)
{
	struct victim *v;
	long long us;

	ASSERT_TRUE(write_file(PARAMETER("wait_ms"), "300"));
	v = start(self, 0, 0);
	ASSERT_NE(NULL, v);
	oom_kill(v);
	EXPECT_LOGGED(GAVE_UP, v);
	EXPECT_LOGGED(WAITING, v);
	EXPECT_LOGGED(REAPED, v);
	us = logged(self, REAPED, v->pid) - logged(self, GAVE_UP, v->pid);
	printf("# reaped %lld ms after the reaper gave up\n", us / 1000);
	EXPECT_LE(300 * 1000, us);
	EXPECT_EQ(0, anon_kb(v->plan->held));
	EXPECT_LE(10, stats(v).refused);
	EXPECT_LT(0, stats(v).waited);
	EXPECT_TRUE(oom_killer_goes_on(v));
	EXPECT_TRUE(exits(v));
}

TEST_F(reaper, waits_until_the_driver_lets_go)
{
	struct victim *v = start(self, 0, 0);

	ASSERT_NE(NULL, v);
	ASSERT_TRUE(hold_memory(v));
	oom_kill(v);
	EXPECT_LOGGED(WAITING, v);
	EXPECT_TRUE(BECOMES(stats(v).waiting == 1));
	/* Only that work item waits. */
	EXPECT_TRUE(oom_killer_goes_on(v));
	EXPECT_EQ(1, stats(v).waiting);
	EXPECT_ALL_THERE(v);
	EXPECT_FALSE(logged(self, REAPED, v->pid));

	EXPECT_TRUE(let_go(v));
	EXPECT_LOGGED(REAPED, v);
	EXPECT_EQ(0, anon_kb(v->plan->held));
	EXPECT_EQ(0, stats(v).waiting);
	EXPECT_TRUE(exits(v));
}

TEST_F(reaper, one_driver_never_lets_go)
{
	struct victim *v[VICTIMS];

	for (int i = 0; i < VICTIMS; i++) {
		v[i] = start(self, i, 0);
		ASSERT_NE(NULL, v[i]);
	}
	ASSERT_TRUE(hold_memory(v[0]));
	oom_kill(v[0]);
	EXPECT_TRUE(BECOMES(stats(v[0]).waiting == 1));
	for (int i = 1; i < VICTIMS; i++)
		oom_kill(v[i]);
	for (int i = 1; i < VICTIMS; i++) {
		EXPECT_LOGGED(WAITING, v[i]);
		EXPECT_LOGGED(REAPED, v[i]);
		EXPECT_EQ(0, anon_kb(v[i]->plan->held));
		EXPECT_TRUE(exits(v[i]));
	}
	EXPECT_EQ(1, stats(v[0]).waiting);
	EXPECT_ALL_THERE(v[0]);

	EXPECT_TRUE(let_go(v[0]));
	EXPECT_LOGGED(REAPED, v[0]);
	EXPECT_TRUE(exits(v[0]));
}

/* Its thread holds the mmap_lock for writing as long as the driver waits. */
TEST_F(reaper, waits_for_the_lock)
{
	struct victim *v = start(self, 0, 1);

	ASSERT_NE(NULL, v);
	EXPECT_TRUE(BECOMES(stats(v).waiting == 1));
	oom_kill(v);
	EXPECT_LOGGED(GAVE_UP, v);
	EXPECT_LOGGED(WAITING, v);
	EXPECT_EQ(0, stats(v).refused);
	EXPECT_EQ(1, stats(v).waiting);

	EXPECT_TRUE(let_go(v));
	EXPECT_LOGGED(REAPED, v);
	EXPECT_TRUE(exits(v));
}

TEST_F(reaper, victim_exits_meanwhile)
{
	struct victim *v = start(self, 0, 0);

	ASSERT_NE(NULL, v);
	ASSERT_TRUE(hold_memory(v));
	oom_kill(v);
	EXPECT_TRUE(BECOMES(stats(v).waiting == 1));
	/* It has to wait for the same driver. */
	ptrace(PTRACE_DETACH, v->plan->held, NULL, NULL);
	EXPECT_TRUE(BECOMES(stats(v).waiting == 2));

	EXPECT_TRUE(let_go(v));
	EXPECT_LOGGED(REAPED, v);
	EXPECT_TRUE(exits(v));
}

/*
 * All list notifiers have one SRCU domain. So a blocked one also keeps other
 * processes from exiting. That is why the switch is off.
 */
TEST_F(reaper, list_notifier_keeps_others_from_exiting)
{
	struct victim *v, *other;

	ASSERT_TRUE(write_file(PARAMETER("list"), "1"));
	v = start(self, 0, 0);
	ASSERT_NE(NULL, v);
	other = start(self, 1, 0);
	ASSERT_NE(NULL, other);
	ASSERT_TRUE(hold_memory(v));
	oom_kill(v);
	EXPECT_TRUE(BECOMES(stats(v).waiting == 1));

	/* The memory of the other one comes back. */
	oom_kill(other);
	EXPECT_LOGGED(REAPED, other);
	EXPECT_EQ(0, anon_kb(other->plan->held));
	ptrace(PTRACE_DETACH, other->plan->held, NULL, NULL);
	sleep(1);
	EXPECT_EQ(0, waitpid(other->pid, NULL, WNOHANG));

	EXPECT_TRUE(let_go(v));
	EXPECT_LOGGED(REAPED, v);
	EXPECT_TRUE(exits(other));
	EXPECT_TRUE(exits(v));
}

static int mrelease(struct victim *v, unsigned int flags)
{
	int pidfd = syscall(SYS_pidfd_open, v->pid, 0), ret;

	ret = syscall(SYS_process_mrelease, pidfd, flags) ? errno : 0;
	close(pidfd);
	return ret;
}

/* Has another process call process_mrelease(2), and exit with the error. */
static pid_t mrelease_in_process(struct victim *v)
{
	pid_t pid = fork();

	if (!pid)
		_exit(mrelease(v, PROCESS_MRELEASE_WAIT));
	return pid;
}

TEST_F(reaper, mrelease_waits_if_it_may)
{
	struct victim *v = start(self, 0, 0);
	int status;
	pid_t pid;

	ASSERT_NE(NULL, v);
	ASSERT_TRUE(hold_memory(v));
	EXPECT_EQ(EINVAL, mrelease(v, PROCESS_MRELEASE_WAIT));
	kill(v->pid, SIGKILL);
	wait_until_held(v->plan->held);
	EXPECT_EQ(EINVAL, mrelease(v, PROCESS_MRELEASE_WAIT << 1));
	EXPECT_EQ(EAGAIN, mrelease(v, 0));
	EXPECT_LT(0, stats(v).refused);
	EXPECT_EQ(0, stats(v).waited);

	pid = mrelease_in_process(v);
	EXPECT_TRUE(BECOMES(stats(v).waiting == 1));
	EXPECT_EQ(0, waitpid(pid, &status, WNOHANG));
	EXPECT_ALL_THERE(v);
	EXPECT_TRUE(let_go(v));
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, anon_kb(v->plan->held));
	EXPECT_TRUE(exits(v));
}

TEST_F(reaper, mrelease_is_killed)
{
	struct victim *v = start(self, 0, 0);
	pid_t pid;

	ASSERT_NE(NULL, v);
	ASSERT_TRUE(hold_memory(v));
	kill(v->pid, SIGKILL);
	wait_until_held(v->plan->held);
	pid = mrelease_in_process(v);
	EXPECT_TRUE(BECOMES(stats(v).waiting == 1));
	kill(pid, SIGKILL);
	EXPECT_TRUE(let_go(v));
	EXPECT_EQ(pid, waitpid(pid, NULL, 0));
	/* It does not call the driver for the next mapping. */
	EXPECT_EQ(1, stats(v).waited);
	EXPECT_TRUE(exits(v));
}

TEST_HARNESS_MAIN
