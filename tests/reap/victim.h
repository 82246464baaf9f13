/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The process whose memory the driver's device uses: the user's program, which is
 * /driver/use.sh or /driver/use.
 */
#ifndef VICTIM_H
#define VICTIM_H

#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "counts.h"
#include "expect.h"
#include "held.h"
#include "inject.h"
#include "oom.h"
#include "row.h"

#define PAGE		page_size()
/* What the storms change. */
#define WINDOW		32

static struct {
	pid_t program;		/* what was started */
	pid_t pid;		/* has the memory */
	int pidfd;
	int in, out;		/* its standard input and output */
	int memory;		/* /proc/PID/mem */
	bool compares, ended;
	char *mem;
	size_t len;
	long used_kb;		/* without it, by the system or its cgroup */
	long anon_kb, left_kb;	/* that it has, and has when the reaper is done */
} victim;

/* The user can do something about it: nothing more is tried. */
static void problem(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("# problem ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
	if (victim.program > 0)
		kill(-victim.program, SIGKILL);
	exit(3);
}

/*
 * Reads a line of the program's output that begins with @word. All others are
 * comments. Returns false if there is none in time, or never.
 */
static bool read_line(const char *word, char *line, size_t size)
{
	struct pollfd ready = { .fd = victim.out, .events = POLLIN };
	double limit = now() + patience();
	size_t len = 0;

	while (now() < limit) {
		if (poll(&ready, 1, 1000) <= 0)
			continue;
		if (read(victim.out, line + len, 1) != 1)
			return false;
		if (line[len] != '\n' && len < size - 2) {
			len++;
			continue;
		}
		line[len] = '\0';
		if (!strncmp(line, word, strlen(word)))
			return true;
		printf("# use: %s\n", line);
		len = 0;
	}
	return false;
}

/* The largest memory that is private and of no file; of the heap only if @heap. */
static void find_memory(bool heap)
{
	unsigned long start, end, inode;
	char path[64], line[256], mode[8];
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", victim.pid);
	maps = open_file(path);
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %7s %*x %*x:%*x %lu", &start, &end, mode, &inode) != 4)
			continue;
		if (strcmp(mode, "rw-p") || inode || end - start <= victim.len)
			continue;
		if (strchr(line, '[') && !(heap && strstr(line, "[heap]")))
			continue;
		victim.mem = (char *)start;
		victim.len = end - start;
	}
	fclose(maps);
}

static void parse_ready(char *line)
{
	char *word;

	victim.pid = victim.program;
	while ((word = strsep(&line, " "))) {
		if (!strncmp(word, "pid=", 4))
			victim.pid = atoi(word + 4);
		else if (!strncmp(word, "mem=", 4))
			victim.mem = (char *)strtoul(word + 4, NULL, 16);
		else if (!strncmp(word, "len=", 4))
			victim.len = strtoul(word + 4, NULL, 0);
		else if (!strncmp(word, "compares=", 9))
			victim.compares = atoi(word + 9);
	}
	/* Few programs live without their heap. */
	if (!victim.len)
		find_memory(false);
	if (!victim.len)
		find_memory(true);
	if (!victim.len)
		problem("the program has no memory of its own: add mem= and len= to its \"ready\"");
}

static void run_program(int in, int out, const char *cgroup)
{
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	/* What a script starts ends with it. */
	setpgid(0, 0);
	/* The bench itself is never killed for memory. */
	write_file("/proc/self/oom_score_adj", "0");
	if (cgroup) {
		char path[128];

		snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
		write_file(path, "0");
	}
	if (chdir(FOLDER))
		die(FOLDER);
	if (!access("use.sh", R_OK))
		execl("/bin/sh", "sh", "use.sh", NULL);
	execl("./use", "use", NULL);
	die("use");
}

/* Why the program is not ready. */
static void not_ready(void)
{
	int status = 0;

	usleep(100000);
	if (waitpid(victim.program, &status, WNOHANG) != victim.program)
		problem("the program is not ready after %d s: it has to print \"ready\"", patience());
	victim.program = 0;
	if (WIFSIGNALED(status))
		problem("the program was killed by signal %d before it was ready",
			WTERMSIG(status));
	problem("the program exited with %d before it was ready: see what it printed",
		WEXITSTATUS(status));
}

/* Starts the program, in a cgroup if one is named, and waits until it is ready. */
static void start_in(const char *cgroup)
{
	int in[2], out[2];
	char line[256];

	victim.used_kb = used_kb(cgroup);
	/* A script leaves what it started to us. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	signal(SIGPIPE, SIG_IGN);
	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		die("pipe");
	victim.program = fork();
	if (!victim.program)
		run_program(in[0], out[1], cgroup);
	close(in[0]);
	close(out[1]);
	victim.in = in[1];
	victim.out = out[0];
	if (!read_line("ready", line, sizeof(line)))
		not_ready();
	parse_ready(line);
	victim.pidfd = syscall(SYS_pidfd_open, victim.pid, 0);
	if (victim.pidfd < 0)
		problem("there is no process %d, which the program named", victim.pid);
	if (counts_are_known() && !read_counts().registered)
		problem("no notifier of the driver when the program is ready: no device uses memory");
	victim.memory = open_memory(victim.pid);
	victim.anon_kb = anon_kb(victim.pid);
}

static void start(void)
{
	start_in(NULL);
}

/* Whether the process ends in time; it is not held. */
static bool exits(void)
{
	struct pollfd ended = { .fd = victim.pidfd, .events = POLLIN };
	double limit = now() + patience();

	do {
		/* If it is traced, it stops on its way. */
		ptrace(PTRACE_DETACH, victim.pid, NULL, NULL);
	} while (!poll(&ended, 1, 10) && now() < limit);
	return ended.revents;
}

/* Ends the program and what it started, and stores in the row whether the process goes. */
static void end(void)
{
	/* First its parent, which may wait for it. */
	kill(victim.program, SIGKILL);
	kill(-victim.program, SIGKILL);
	syscall(SYS_pidfd_send_signal, victim.pidfd, SIGKILL, NULL, 0);
	victim.ended = exits();
	note(" exits=%s", victim.ended ? "yes" : "no");
	close(victim.memory);
	close(victim.in);
	while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
		;
}

/* The pages that the storms change, and the device is to have. */
static size_t window(void)
{
	return victim.len / PAGE < WINDOW ? victim.len / PAGE : WINDOW;
}

static char *page(size_t i)
{
	return victim.mem + i * PAGE;
}

/* Writes to a page as the process itself would. */
static void poke(size_t i, int value)
{
	char data[64];

	memset(data, value, sizeof(data));
	/* There may be nothing to write to. */
	if (pwrite(victim.memory, data, sizeof(data), (off_t)page(i)) < 0 && errno != EIO)
		die("write to the program's memory");
}

static struct { int same, stale, gone; } compared;

/* Has the program compare the pages of the window, if it can. */
static void compare(void)
{
	char line[256];

	if (!victim.compares)
		return;
	for (size_t i = 0; i < window(); i++) {
		dprintf(victim.in, "compare %lx\n", (unsigned long)page(i));
		if (!read_line("compared", line, sizeof(line))) {
			program_ended();
		}
		compared.same += !!strstr(line, "same");
		compared.stale += !!strstr(line, "stale");
		compared.gone += !!strstr(line, "gone");
	}
}

#endif /* VICTIM_H */
