// SPDX-License-Identifier: GPL-2.0
/*
 * Puts a driver whose device uses the memory of a process before everything that
 * takes memory away from a process.
 *
 * usage: reap SITUATION, or reap -l for their names
 *
 * Prints a line "# row key=value ...", which tools/reap.py judges; "# problem"
 * and a text if the driver or its program do not work; and one KTAP result,
 * which says only whether there is a row.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "counts.h"
#include "inject.h"
#include "row.h"
#include "uninterruptible.h"
#include "victim.h"

/* The C library may be older. */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

#define CGROUP		"/sys/fs/cgroup/reap"
#define ROUNDS		4
/* Of the window, in pages, and as often as there are rounds. */
#define STEP		4

/* Shared with the process that takes memory. */
static atomic_int *enough;

/* The kernel's name of an error, as far as one is expected. */
static const char *error_name(int error)
{
	return error == 0 ? "done" : error == EINVAL ? "EINVAL" : error == ESRCH ? "ESRCH" :
	       error == EAGAIN ? "EAGAIN" : strerror(error);
}

static int mrelease(void)
{
	return syscall(SYS_process_mrelease, victim.pidfd, 0) ? errno : 0;
}

/* What process_mrelease(2) has to return, once. */
static void mrelease_is(int expected)
{
	int error = mrelease();

	if (error != expected)
		note(" wrong=mrelease:%s,not:%s", error_name(error), error_name(expected));
}

/* Whether the OOM reaper has given up. */
static bool given_up(void)
{
	static char log[1 << 18];
	char text[64];
	int len = klogctl(3, log, sizeof(log) - 1);

	log[len < 0 ? 0 : len] = '\0';
	snprintf(text, sizeof(text), "unable to reap pid:%d ", victim.pid);
	return strstr(log, text);
}

/*
 * Waits until the process, which is held on its way out, has no memory any more,
 * and stores in the row whether and when that is.
 */
static void wait_for_reaper(double since, bool is_oom)
{
	double limit = now() + patience();

	/* The OOM reaper tries for a second. process_mrelease(2) has ended by now. */
	while (anon_kb(victim.pid) && is_oom && now() < limit && !given_up())
		usleep(20000);
	note(" ms=%.0f", (now() - since) * 1000);
	victim.left_kb = anon_kb(victim.pid);
}

/*
 * Stores in the row whether the memory is back where it came from: the process
 * may not have it any more, and the device still keep its pages.
 */
static void look_for_memory(const char *cgroup)
{
	double limit = now() + patience();
	bool kept;
	long used;

	if (victim.left_kb) {
		note(" back=no left_kb=%ld", victim.left_kb);
		return;
	}
	/* Free pages are on their way to where they are counted. */
	do {
		nap();
		used = used_kb(cgroup) - victim.used_kb;
		/* Others take some; so of little memory it cannot be seen. */
		kept = victim.anon_kb >= 4096 && used > victim.anon_kb / 2;
	} while (kept && now() < limit);
	note(" back=%s used_kb=%ld of_kb=%ld", kept ? "kept" : "yes", used, victim.anon_kb);
}

/* Kills the process, which is then held on its way out. */
static void kill_and_hold(void)
{
	syscall(SYS_pidfd_send_signal, victim.pidfd, SIGKILL, NULL, 0);
	wait_until_held(victim.pid);
}

/* As the OOM reaper tries, and as often. */
static void release_by_hand(double since)
{
	int tries = 0, error;

	while ((error = mrelease()) == EAGAIN && ++tries < 10)
		usleep(100000);
	if (error && error != EAGAIN)
		note(" wrong=mrelease:%s,not:done", error_name(error));
	wait_for_reaper(since, false);
	look_for_memory(NULL);
}

static void kill_and_release(void)
{
	double since = now();

	kill_and_hold();
	release_by_hand(since);
}

static void after_the_kill(void)
{
	start();
	mrelease_is(EINVAL);
	seize(victim.pid);
	kill_and_release();
	end();
}

static void after_the_exit(void)
{
	start();
	syscall(SYS_pidfd_send_signal, victim.pidfd, SIGKILL, NULL, 0);
	if (exits())
		mrelease_is(ESRCH);
	end();
}

static void when_stopped(void)
{
	start();
	kill(victim.pid, SIGSTOP);
	while (state(victim.pid) != 'T')
		nap();
	mrelease_is(EINVAL);
	seize(victim.pid);
	kill_and_release();
	end();
}

static void when_traced(void)
{
	start();
	seize(victim.pid);
	interrupt(victim.pid);
	mrelease_is(EINVAL);
	kill_and_release();
	end();
}

static void make_cgroup(void)
{
	write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	if (mkdir(CGROUP, 0755) && errno != EEXIST)
		die(CGROUP);
}

static void when_frozen(void)
{
	char pid[16];

	start();
	make_cgroup();
	snprintf(pid, sizeof(pid), "%d", victim.pid);
	write_file(CGROUP "/cgroup.procs", pid);
	seize(victim.pid);
	write_file(CGROUP "/cgroup.freeze", "1");
	while (!sum(CGROUP "/cgroup.events", "frozen %ld"))
		nap();
	mrelease_is(EINVAL);
	kill_and_release();
	end();
	write_file(CGROUP "/cgroup.freeze", "0");
}

static void when_uninterruptible(void)
{
	struct lock lock;
	double since;

	/* The program has the file, because it does not end with exec. */
	if (!take_lock(&lock))
		die("lock of a file");
	start();
	seize(victim.pid);
	interrupt(victim.pid);
	inject_and_leave(victim.pid, SYS_write, lock.file, (long)victim.mem, 1);
	while (state(victim.pid) != 'D')
		nap();
	mrelease_is(EINVAL);
	since = now();
	syscall(SYS_pidfd_send_signal, victim.pidfd, SIGKILL, NULL, 0);
	release_by_hand(since);
	release_lock(&lock);
	wait_until_held(victim.pid);
	end();
}

/* As fork(), for a process that ends with this one. */
static pid_t fork_helper(void)
{
	pid_t pid = fork();

	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

/* Runs out of memory, and waits for the reaper to take that of the process. */
static void out_of_memory(const char *cgroup)
{
	char path[64];
	pid_t hog_pid;
	double since;

	seize(victim.pid);
	/* Whatever others have, this one is killed first, and then the hog. */
	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", victim.pid);
	write_file(path, "1000");
	hog_pid = fork_helper();
	if (!hog_pid) {
		write_file("/proc/self/oom_score_adj", "0");
		if (cgroup)
			write_file(CGROUP "/cgroup.procs", "0");
		hog(enough);
	}
	wait_until_held(victim.pid);
	*enough = 1;
	since = now();
	wait_for_reaper(since, true);
	kill(hog_pid, SIGKILL);
	waitpid(hog_pid, NULL, 0);
	look_for_memory(cgroup);
}

static void oom(void)
{
	start();
	out_of_memory(NULL);
	end();
}

static void memcg(void)
{
	char limit[32];

	make_cgroup();
	start_in(CGROUP);
	snprintf(limit, sizeof(limit), "%ld",
		 (sum(CGROUP "/memory.current", "%ld") + 16L * MiB) & ~(PAGE - 1));
	write_file(CGROUP "/memory.max", limit);
	out_of_memory(CGROUP);
	end();
	if (!sum(CGROUP "/memory.events", "oom %ld"))
		note(" wrong=the_cgroup_had_enough");
	write_file(CGROUP "/memory.max", "max");
}

/* Has the process map new memory, at a place of the window. */
static void map(size_t i, size_t pages)
{
	long mem = inject(victim.pid, SYS_mmap, page(i), pages * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1);

	if (mem != (long)page(i))
		die("mmap in the program");
}

/*
 * What a process does to its own memory. Each round has its pages, which the
 * device has when it begins.
 */
static void done_by_itself(void (*change)(size_t i, int round), void (*undo)(size_t i, int round))
{
	for (int round = 0; round < ROUNDS; round++) {
		size_t i = (round * STEP) % window();

		if (i + STEP > window())
			i = 0;
		compare();
		interrupt(victim.pid);
		change(i, round);
		go_on(victim.pid);
		compare();
		if (!undo)
			continue;
		interrupt(victim.pid);
		undo(i, round);
		go_on(victim.pid);
		for (int j = 0; j < STEP && i + j < window(); j++)
			poke(i + j, 'a' + round);
		compare();
	}
}

static void storm(void (*change)(size_t i, int round), void (*undo)(size_t i, int round))
{
	start();
	try_first("1");
	seize(victim.pid);
	if (window() < STEP)
		missing = "not with less than four pages of memory";
	else
		done_by_itself(change, undo);
	end();
}

static void unmap_pages(size_t i, int round)
{
	inject(victim.pid, SYS_munmap, page(i), STEP * PAGE);
}

static void map_pages(size_t i, int round)
{
	map(i, STEP);
}

static void storm_munmap(void)
{
	storm(unmap_pages, map_pages);
}

static void protect_pages(size_t i, int round)
{
	inject(victim.pid, SYS_mprotect, page(i), STEP * PAGE,
	       round % 2 ? PROT_READ : PROT_NONE);
}

static void unprotect_pages(size_t i, int round)
{
	inject(victim.pid, SYS_mprotect, page(i), STEP * PAGE, PROT_READ | PROT_WRITE);
}

static void storm_mprotect(void)
{
	storm(protect_pages, unprotect_pages);
}

static void move_pages_back(size_t i, int round)
{
	/* What was moved is where the second half begins; its place is mapped anew. */
	map(i, STEP);
}

static void remap_pages(size_t i, int round)
{
	inject(victim.pid, SYS_mremap, page(i), STEP * PAGE, STEP * PAGE,
	       MREMAP_MAYMOVE | MREMAP_FIXED, page((i + window() / 2) % window()));
}

static void storm_mremap(void)
{
	storm(remap_pages, move_pages_back);
}

static void discard_pages(size_t i, int round)
{
	static const int advice[] = { MADV_DONTNEED, MADV_FREE, MADV_DONTNEED, MADV_REMOVE };

	inject(victim.pid, SYS_madvise, page(i), STEP * PAGE, advice[round % 4]);
}

static void nothing(size_t i, int round)
{
}

static void storm_madvise(void)
{
	storm(discard_pages, nothing);
}

/* A page that a child shares is replaced when the process writes to it. */
static void fork_and_write(size_t i, int round)
{
	pid_t child = inject(victim.pid, SYS_clone, CLONE_PTRACE);

	if (child <= 0)
		die("fork in the program");
	for (int j = 0; j < STEP; j++)
		poke(i + j, 'A' + round);
	/* It was stopped before its first instruction, and must not have another. */
	if (waitpid(child, NULL, __WALL) != child)
		die("waitpid of the child");
	kill(child, SIGKILL);
	wait_until_held(child);
	ptrace(PTRACE_DETACH, child, NULL, NULL);
}

static void storm_fork(void)
{
	storm(fork_and_write, nothing);
}

static void exec(void)
{
	struct {
		char path[32], arg[8];
		unsigned long argv[3];
	} args = { .path = "/bin/busybox", .arg = "true" };
	unsigned long at;
	long error;

	start();
	try_first("1");
	compare();
	seize(victim.pid);
	interrupt(victim.pid);
	at = inject(victim.pid, SYS_mmap, 0, PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1);
	args.argv[0] = at + offsetof(typeof(args), path);
	args.argv[1] = at + offsetof(typeof(args), arg);
	if (pwrite(victim.memory, &args, sizeof(args), at) != sizeof(args))
		die("arguments in the program");
	error = inject(victim.pid, SYS_execve, at, at + offsetof(typeof(args), argv));
	if (error)
		note(" wrong=execve:%s", strerror(-error));
	ptrace(PTRACE_DETACH, victim.pid, NULL, NULL);
	end();
}

static void exit_(void)
{
	start();
	try_first("1");
	compare();
	end();
}

/* What others do to its memory, @times, and look at the data in between. */
static void done_to_it(bool (*act)(void))
{
	try_first("1");
	for (size_t i = 0; i < window(); i++)
		poke(i, 'a' + i % 26);
	compare();
	if (!act())
		note(" idle=yes");
	compare();
	for (size_t i = 0; i < window(); i++)
		poke(i, 'A' + i % 26);
	compare();
}

static long madvise_it(void *start, size_t len, int advice)
{
	struct iovec range = { start, len };

	return syscall(SYS_process_madvise, victim.pidfd, &range, 1, advice, 0);
}

static bool advise(void)
{
	bool done = madvise_it(victim.mem, victim.len, MADV_COLD) >= 0;

	madvise_it(victim.mem, victim.len, MADV_WILLNEED);
	return done;
}

static void process_madvise_(void)
{
	start();
	done_to_it(advise);
	end();
}

static long kb_of(const char *file, const char *format)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", victim.pid, file);
	return sum(path, format);
}

static bool soft_dirty(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/clear_refs", victim.pid);
	write_file(path, "4");
	return true;
}

static void clear_soft_dirty(void)
{
	start();
	done_to_it(soft_dirty);
	end();
}

static bool page_out(void)
{
	madvise_it(victim.mem, victim.len, MADV_PAGEOUT);
	return kb_of("status", "VmSwap: %ld");
}

static void swap_out(void)
{
	start();
	done_to_it(page_out);
	end();
}

static bool reclaim(void)
{
	int fd = open(CGROUP "/memory.reclaim", O_WRONLY | O_CLOEXEC);
	char amount[32];

	snprintf(amount, sizeof(amount), "%zu", victim.len);
	/* EAGAIN: less than that was reclaimed. */
	if (write(fd, amount, strlen(amount)) < 0 && errno != EAGAIN)
		note(" wrong=memory.reclaim:%s", error_name(errno));
	close(fd);
	return kb_of("status", "VmSwap: %ld");
}

static void memcg_reclaim(void)
{
	make_cgroup();
	start_in(CGROUP);
	done_to_it(reclaim);
	end();
}

static bool compact(void)
{
	long before = sum("/proc/vmstat", "compact_migrate_scanned %ld");

	write_file("/proc/sys/vm/compact_memory", "1");
	return sum("/proc/vmstat", "compact_migrate_scanned %ld") > before;
}

static void compaction(void)
{
	start();
	done_to_it(compact);
	end();
}

/* Moves the window to a node, and back to the other. */
static bool migrate(void)
{
	int moved = 0;

	for (int node = 1; node >= 0; node--) {
		void *pages[WINDOW];
		int nodes[WINDOW], status[WINDOW];

		for (size_t i = 0; i < window(); i++) {
			pages[i] = page(i);
			nodes[i] = node;
			status[i] = -1;
		}
		syscall(SYS_move_pages, victim.pid, window(), pages, nodes, status, 1 << 2);
		for (size_t i = 0; i < window(); i++)
			moved += status[i] == node;
		compare();
	}
	return moved;
}

static void migration(void)
{
	start();
	done_to_it(migrate);
	end();
}

/* Has the process say that it has the same in all pages, and waits for KSM to see that. */
static bool merge(void)
{
	long before = sum("/sys/kernel/mm/ksm/pages_sharing", "%ld"), scans;
	double limit = now() + patience();

	seize(victim.pid);
	interrupt(victim.pid);
	inject(victim.pid, SYS_madvise, victim.mem, window() * PAGE, MADV_MERGEABLE);
	go_on(victim.pid);
	for (size_t i = 0; i < window(); i++)
		poke(i, 'k');
	write_file("/sys/kernel/mm/ksm/pages_to_scan", "10000");
	write_file("/sys/kernel/mm/ksm/sleep_millisecs", "10");
	write_file("/sys/kernel/mm/ksm/run", "1");
	scans = sum("/sys/kernel/mm/ksm/full_scans", "%ld");
	while (sum("/sys/kernel/mm/ksm/full_scans", "%ld") < scans + 3 && now() < limit)
		nap();
	write_file("/sys/kernel/mm/ksm/run", "0");
	return sum("/sys/kernel/mm/ksm/pages_sharing", "%ld") > before;
}

static void ksm(void)
{
	start();
	done_to_it(merge);
	write_file("/sys/kernel/mm/ksm/run", "2");
	end();
}

#define HUGE	huge_page_size()

/* The first huge page that fits into the memory. */
static char *huge_page(void)
{
	return (char *)(((unsigned long)victim.mem + HUGE - 1) & ~(HUGE - 1));
}

static bool collapse(void)
{
	madvise_it(huge_page(), HUGE, MADV_COLLAPSE);
	return kb_of("smaps_rollup", "AnonHugePages: %ld");
}

static bool collapse_and_split(void)
{
	bool collapsed = collapse();
	char text[128];
	long before = kb_of("smaps_rollup", "AnonHugePages: %ld");

	compare();
	snprintf(text, sizeof(text), "%d,0x%lx,0x%lx", victim.pid,
		 (unsigned long)victim.mem, (unsigned long)victim.mem + victim.len);
	write_file("/sys/kernel/debug/split_huge_pages", text);
	return collapsed && kb_of("smaps_rollup", "AnonHugePages: %ld") < before;
}

static void huge(bool (*act)(void))
{
	start();
	if (huge_page() + HUGE > victim.mem + victim.len) {
		static char text[64];

		snprintf(text, sizeof(text), "not with less than %lu MiB of memory", 2 * HUGE / MiB);
		missing = text;
	} else {
		victim.len -= huge_page() - victim.mem;
		victim.mem = huge_page();
		done_to_it(act);
	}
	end();
}

static void thp_collapse(void)
{
	huge(collapse);
}

static void thp_split(void)
{
	huge(collapse_and_split);
}

/* Has the process write-protect its memory for userfaultfd(2), and unprotect it. */
static bool write_protect(void)
{
	struct {
		struct uffdio_api api;
		struct uffdio_register reg;
		struct uffdio_writeprotect wp;
	} args = {
		.api = { .api = UFFD_API },
		.reg = { .range = { (unsigned long)victim.mem, window() * PAGE },
			 .mode = UFFDIO_REGISTER_MODE_WP },
		.wp = { .range = { (unsigned long)victim.mem, window() * PAGE },
			.mode = UFFDIO_WRITEPROTECT_MODE_WP },
	};
	unsigned long at;
	long uffd, error;

	seize(victim.pid);
	interrupt(victim.pid);
	at = inject(victim.pid, SYS_mmap, 0, PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1);
	pwrite(victim.memory, &args, sizeof(args), at);
	uffd = inject(victim.pid, SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	error = uffd < 0 ? uffd : 0;
	error = error ?: inject(victim.pid, SYS_ioctl, uffd, UFFDIO_API,
				at + offsetof(typeof(args), api));
	error = error ?: inject(victim.pid, SYS_ioctl, uffd, UFFDIO_REGISTER,
				at + offsetof(typeof(args), reg));
	error = error ?: inject(victim.pid, SYS_ioctl, uffd, UFFDIO_WRITEPROTECT,
				at + offsetof(typeof(args), wp));
	go_on(victim.pid);
	compare();
	interrupt(victim.pid);
	inject(victim.pid, SYS_close, uffd);
	go_on(victim.pid);
	if (error)
		note(" wrong=userfaultfd:%s", strerror(-error));
	return !error;
}

static void userfaultfd_(void)
{
	start();
	done_to_it(write_protect);
	end();
}

static void remove_modules(void)
{
	for (int i = modules.count - 1; i >= 0; i--)
		syscall(SYS_delete_module, modules.names[i], O_NONBLOCK);
}

/* Tries to unload the modules as long as the process changes its memory. */
static void unload(void)
{
	char path[128];
	pid_t remover;

	start();
	try_first("1");
	remover = fork_helper();
	if (!remover) {
		for (;;) {
			remove_modules();
			usleep(1000);
		}
	}
	seize(victim.pid);
	if (window() >= STEP)
		done_by_itself(unmap_pages, map_pages);
	kill(remover, SIGKILL);
	waitpid(remover, NULL, 0);
	snprintf(path, sizeof(path), "/sys/module/%s", modules.names[modules.count - 1]);
	note(" unloaded=%s", access(path, F_OK) ? "yes" : "busy");
	end();
}

static const struct situation {
	const char *name;
	void (*run)(void);
	const char *needs, *option;
} situations[] = {
	{ "munmap", storm_munmap, NULL, NULL },
	{ "mprotect", storm_mprotect, NULL, NULL },
	{ "mremap", storm_mremap, NULL, NULL },
	{ "madvise", storm_madvise, NULL, NULL },
	{ "fork", storm_fork, NULL, NULL },
	{ "exec", exec, NULL, NULL },
	{ "exit", exit_, NULL, NULL },
	{ "oom", oom, NULL, NULL },
	{ "memcg", memcg, NULL, NULL },
	{ "mrelease", after_the_kill, NULL, NULL },
	{ "mrelease-after-exit", after_the_exit, NULL, NULL },
	{ "mrelease-stopped", when_stopped, NULL, NULL },
	{ "mrelease-traced", when_traced, NULL, NULL },
	{ "mrelease-frozen", when_frozen, NULL, NULL },
	{ "mrelease-uninterruptible", when_uninterruptible, NULL, NULL },
	{ "unload", unload, NULL, NULL },
	{ "process-madvise", process_madvise_, NULL, NULL },
	{ "soft-dirty", clear_soft_dirty, "/proc/self/pagemap", "CONFIG_MEM_SOFT_DIRTY" },
	{ "userfaultfd", userfaultfd_, "/proc/sys/vm/unprivileged_userfaultfd", "CONFIG_USERFAULTFD" },
	{ "thp-collapse", thp_collapse, "/sys/kernel/mm/transparent_hugepage", "CONFIG_TRANSPARENT_HUGEPAGE" },
	{ "thp-split", thp_split, "/sys/kernel/debug/split_huge_pages", "CONFIG_TRANSPARENT_HUGEPAGE" },
	{ "ksm", ksm, "/sys/kernel/mm/ksm", "CONFIG_KSM" },
	{ "compaction", compaction, "/proc/sys/vm/compact_memory", "CONFIG_COMPACTION" },
	{ "migration", migration, "/sys/devices/system/node/node1", "CONFIG_NUMA with two nodes" },
	{ "swap-out", swap_out, "/tmp/swap-is-on", "CONFIG_SWAP and CONFIG_ZRAM" },
	{ "memcg-reclaim", memcg_reclaim, "/tmp/swap-is-on", "CONFIG_SWAP and CONFIG_ZRAM" },
};

/* The one that is run. */
static const struct situation *situation;

static void print_row(void)
{
	end_counting();
	printf("# row situation=%s same=%d stale=%d gone=%d%s", situation->name, compared.same,
	       compared.stale, compared.gone, row);
	printf(missing ? " missing=%s\n" : "\n", missing);
}

/* What was done to its memory was too much for the program, which is no fault of the driver. */
static void program_ended(void)
{
	note(" ended=yes");
	end();
	print_row();
	exit(!victim.ended);
}

int main(int argc, char **argv)
{
	const struct situation *s = situations, *last = s + sizeof(situations) / sizeof(*s);

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 2 && !strcmp(argv[1], "-l")) {
		for (; s < last; s++)
			printf("%s\n", s->name);
		return 0;
	}
	while (s < last && (argc != 2 || strcmp(argv[1], s->name)))
		s++;
	if (s == last) {
		fprintf(stderr, "usage: %s SITUATION | -l\n", argv[0]);
		return 2;
	}

	enough = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (enough == MAP_FAILED)
		die("mmap");
	if (s->needs && access(s->needs, F_OK)) {
		printf("# row situation=%s missing=not in this kernel: %s\n", s->name, s->option);
		return 0;
	}
	situation = s;
	begin_counting();
	s->run();
	print_row();
	/* The guest is of no use any more. */
	return !victim.ended;
}
