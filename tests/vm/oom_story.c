// SPDX-License-Identifier: GPL-2.0
/*
 * The OOM story: a process has its memory mirrored by the driver, is killed,
 * and can't exit because one of its threads is held. So only the reaper can
 * free its memory, and only if the driver gives it back without blocking.
 *
 * usage: oom_story WAY DRIVER
 *
 * WAY is the way to take the memory:
 *	oom		the system is out of memory, and the OOM killer strikes
 *	memcg		a memory cgroup is
 *	mrelease	the process is killed by hand, then process_mrelease(2)
 * DRIVER is the mode of rust_mmu_mirror in its non-blocking callback:
 *	lets-go, refuses (a few times), never, sleeps
 * or hmm, which is rust_hmm_mirror.
 *
 * Prints one KTAP result, preceded by a line "# story key=value ...".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <lib/test_hmm_uapi.h>

#include "cycles.h"
#include "expect.h"
#include "held.h"
#include "mirror.h"
#include "oom.h"

#define MEMORY		(32 * MiB)	/* what is mirrored */
/* Of that, in kilobytes; the rest of the system goes on while we measure. */
#define ENOUGH		((long)(MEMORY / 1024) * 3 / 4)
#define CGROUP		"/sys/fs/cgroup/story"
#define CGROUP_MAX	"67108864"	/* twice that */
#define HMM_DEVICE	"/dev/hmm_dmirror0"

/* Shared between the processes. */
static struct {
	atomic_int held;	/* the thread that is held */
	atomic_int ready;	/* the memory is mirrored */
	atomic_int enough;	/* the hog need not go on */
	atomic_int hmm;		/* the victim's file of the HMM driver */
	char *mem;		/* what is mirrored, in the victim */
} *shared;

/*
 * The kilobytes that the victim has given back. Before the victim was there,
 * @before were in use. With the victim's memory and the hog's, more would be in
 * use now.
 *
 * It is not the difference to the time of the kill. When there is no memory, to
 * read /proc/meminfo may wait until the reaper is done.
 */
static long freed_kb(const char *cgroup, long before, pid_t hog)
{
	long others = hog ? anon_kb(hog) : 0;

	return before + others + MEMORY / 1024 - used_kb(cgroup);
}

/* How often the cgroup was out of memory. */
static long memcg_ooms(void)
{
	return sum(CGROUP "/memory.events", "oom %ld");
}

/* Has the HMM driver read a mebibyte of the victim. */
static int hmm_read(int hmm, char *mem)
{
	static char data[MiB];
	struct hmm_dmirror_cmd cmd = {
		.addr = (uintptr_t)mem,
		.ptr = (uintptr_t)data,
		.npages = MiB / page_size(),
	};

	return ioctl(hmm, HMM_DMIRROR_READ, &cmd);
}

/* Whether the HMM driver can read none of the victim's memory any more. */
static int hmm_has_let_go(int hmm)
{
	for (char *mem = shared->mem; mem < shared->mem + MEMORY; mem += MiB)
		if (!hmm_read(hmm, mem) || errno != EFAULT)
			return 0;
	return 1;
}

/* The victim's file: the HMM driver mirrors the process that opens it. */
static int get_hmm(pid_t pid)
{
	int pidfd = syscall(SYS_pidfd_open, pid, 0);
	int hmm = syscall(SYS_pidfd_getfd, pidfd, shared->hmm, 0);

	if (hmm < 0)
		die("pidfd_getfd");
	close(pidfd);
	return hmm;
}

/* The process that is to lose its memory; @mirror is -1 for the HMM driver. */
static void victim(int mirror)
{
	pthread_t thread;
	char *mem;

	/* Whatever others have, this one is killed first. */
	write_file("/proc/self/oom_score_adj", "1000");
	mem = private_memory(MEMORY);
	shared->mem = mem;
	if (mirror < 0) {
		shared->hmm = open(HMM_DEVICE, O_RDWR);
		if (shared->hmm < 0)
			die(HMM_DEVICE);
		/* Else it would read the zero page, of which none comes back. */
		memset(mem, 1, MEMORY);
		for (; mem < shared->mem + MEMORY; mem += MiB)
			if (hmm_read(shared->hmm, mem))
				die("HMM_DMIRROR_READ");
	} else {
		if (mirror_map(mirror, mem, MEMORY))
			die("MMU_MIRROR_MAP");
		if (mirror_prefetch(mirror, mem, MEMORY))
			die("MMU_MIRROR_PREFETCH");
	}
	if (pthread_create(&thread, NULL, held_thread, NULL))
		die("pthread_create");
	while (!*held)
		nap();
	shared->ready = 1;
	for (;;)
		pause();
}

/* Returns how often it was refused; in @taken are the cycles that it took. */
static int mrelease(pid_t pid, unsigned long long *taken)
{
	unsigned long long start;
	int pidfd = syscall(SYS_pidfd_open, pid, 0);
	int refused = 0;

	if (pidfd < 0)
		die("pidfd_open");
	start = cycles();
	/* As often as the OOM reaper would try, and as fast. */
	while (syscall(SYS_process_mrelease, pidfd, 0)) {
		if (errno != EAGAIN)
			die("process_mrelease");
		if (++refused == 10)
			break;
		usleep(100000);
	}
	*taken = cycles() - start;
	close(pidfd);
	return refused;
}

int main(int argc, char **argv)
{
	const char *way = argc > 1 ? argv[1] : "";
	const char *driver = argc > 2 ? argv[2] : "";
	int memcg = !strcmp(way, "memcg"), by_hand = !strcmp(way, "mrelease");
	int never = !strcmp(driver, "never"), refuses = !strcmp(driver, "refuses");
	int mirror = -1, hmm = !strcmp(driver, "hmm"), hmm_fd = -1, eagain = 0, good;
	struct mmu_mirror_stats stats = { 0 };
	unsigned long long taken = 0;
	double killed, back, limit;
	pid_t pid, hog_pid = 0;
	const char *cgroup = memcg ? CGROUP : NULL;
	long before, freed, ooms = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!memcg && !by_hand && strcmp(way, "oom")) {
		fprintf(stderr, "usage: %s oom|memcg|mrelease lets-go|refuses|never|sleeps|hmm\n",
			argv[0]);
		return 2;
	}

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		die("mmap");
	held = &shared->held;
	if (!hmm) {
		mirror = open(MIRROR_DEVICE, O_RDWR);
		if (mirror < 0)
			die(MIRROR_DEVICE);
	}
	if (memcg) {
		write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
		if (mkdir(CGROUP, 0755) && errno != EEXIST)
			die(CGROUP);
		write_file(CGROUP "/memory.max", CGROUP_MAX);
		ooms = memcg_ooms();
	}

	before = used_kb(cgroup);
	pid = fork();
	if (!pid) {
		if (memcg)
			write_file(CGROUP "/cgroup.procs", "0");
		victim(mirror);
	}
	while (!shared->ready) {
		if (waitpid(pid, NULL, WNOHANG))
			return 1;
		nap();
	}
	hold(*held);
	if (hmm)
		hmm_fd = get_hmm(pid);

	if (by_hand) {
		kill(pid, SIGKILL);
	} else {
		hog_pid = fork();
		if (!hog_pid) {
			if (memcg)
				write_file(CGROUP "/cgroup.procs", "0");
			hog(&shared->enough);
		}
	}
	wait_until_held(*held);
	killed = now();
	shared->enough = 1;

	if (by_hand)
		eagain = mrelease(pid, &taken);

	/* The OOM reaper begins after 2 s and tries for 1 s, if it gets to run. */
	limit = killed + patience();
	do {
		nap();
		if (!hmm)
			stats = mirror_stats(mirror);
		/* The reaper gives up on the process then. */
		if (stats.refused == 10)
			break;
	} while ((stats.pages || anon_kb(*held)) && now() < limit);
	back = now();

	/*
	 * The pages are on their way to where free memory is counted, which
	 * takes long on a slow machine.
	 */
	limit = back + (never ? 1 : patience());
	do {
		nap();
		freed = freed_kb(cgroup, before, hog_pid);
	} while (freed < ENOUGH && now() < limit);
	/* If the machine is slow, the reaper came only now. */
	if (!hmm)
		stats = mirror_stats(mirror);

	printf("# story way=%s driver=%s ms=%.0f freed_kb=%ld memory_kb=%ld eagain=%d cycles=%llu",
	       way, driver, (back - killed) * 1000, freed, MEMORY / 1024, eagain, taken);
	if (!hmm)
		printf(" nonblock=%llu refused=%llu dropped=%llu pages=%llu",
		       stats.nonblock, stats.refused, stats.dropped, stats.pages);
	printf("\n");

	/* What has to be seen, if the kernel and the driver do as they say. */
	good = never || expect_at_least(freed, ENOUGH);
	if (hmm) {
		good &= expect_is(hmm_has_let_go(hmm_fd), 1);
		close(hmm_fd);
	} else {
		int refused = never ? 10 : refuses ? 3 : 0;

		good &= expect_is(stats.dropped, never ? 0 : MEMORY / page_size());
		good &= expect_is(stats.pages, never ? MEMORY / page_size() : 0);
		good &= expect_is(stats.refused, refused);
		good &= expect_is(stats.nonblock, never ? 10 : refused + 1);
	}
	if (by_hand)
		good &= expect_is(eagain, stats.refused);
	/* With too little memory the whole system is out of it before the cgroup. */
	if (memcg)
		good &= expect_at_least(memcg_ooms(), ooms + 1);
	printf("%s 1 %s %s\n", good ? "ok" : "not ok", way, driver);

	/* Let the thread go, and everybody else too. */
	ptrace(PTRACE_DETACH, *held, NULL, NULL);
	if (hog_pid) {
		kill(hog_pid, SIGKILL);
		waitpid(hog_pid, NULL, 0);
	}
	waitpid(pid, NULL, 0);
	if (memcg)
		rmdir(CGROUP);
	return !good;
}
