/* SPDX-License-Identifier: GPL-2.0 */
/*
 * System calls that another process makes for us, although its program knows
 * nothing about it.
 */
#ifndef INJECT_H
#define INJECT_H

#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>

#include "held.h"

/* A stop for an event, as waitpid() returns it. */
#define STOPPED_BY(event)	(SIGTRAP | ((event) << 8))

/* The process ended by itself: does not return. */
static void program_ended(void) __attribute__((noreturn));

static void seize(pid_t pid)
{
	if (ptrace(PTRACE_SEIZE, pid, NULL,
		   PTRACE_O_TRACEEXIT | PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL))
		die("PTRACE_SEIZE");
}

/* Waits until the process stops, and returns why. */
static int stopped(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, __WALL) != pid)
		die("waitpid");
	if (!WIFSTOPPED(status) || status >> 8 == STOPPED_BY(PTRACE_EVENT_EXIT))
		program_ended();
	/* It misses its memory, and would forever: it begins the access again. */
	if (status >> 8 == SIGSEGV || status >> 8 == SIGBUS)
		program_ended();
	return status >> 8;
}

/* Stops the process where it is. */
static void interrupt(pid_t pid)
{
	if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL))
		die("PTRACE_INTERRUPT");
	while (stopped(pid) != STOPPED_BY(PTRACE_EVENT_STOP))
		ptrace(PTRACE_CONT, pid, NULL, NULL);
}

/*
 * Has the process go on. It has to stop once more: only there does the kernel
 * look whether a system call of its own was interrupted, and begins it again.
 */
static void go_on(pid_t pid)
{
	ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
	ptrace(PTRACE_CONT, pid, NULL, NULL);
	while (stopped(pid) != STOPPED_BY(PTRACE_EVENT_STOP))
		ptrace(PTRACE_CONT, pid, NULL, NULL);
	ptrace(PTRACE_CONT, pid, NULL, NULL);
}

/* The memory of another process, as a file. */
static int open_memory(pid_t pid)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die(path);
	return fd;
}

/* Where the process has an instruction for system calls: the vDSO does. */
static unsigned long syscall_of(pid_t pid)
{
	static const char instruction[] = { 0x0f, 0x05 };
	unsigned long start, end, at = 0;
	char path[64], line[256], *text, *found;
	FILE *maps;
	int mem = open_memory(pid);

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "r");
	while (maps && !at && fgets(line, sizeof(line), maps)) {
		if (!strstr(line, "[vdso]") || sscanf(line, "%lx-%lx", &start, &end) != 2)
			continue;
		text = malloc(end - start);
		if (pread(mem, text, end - start, start) != (ssize_t)(end - start))
			die("vdso");
		found = memmem(text, end - start, instruction, sizeof(instruction));
		at = found ? start + (found - text) : 0;
		free(text);
	}
	if (!at)
		die("no system call in the vDSO");
	fclose(maps);
	close(mem);
	return at;
}

/* Has the process, which is stopped, begin a system call. */
static void begin_syscall(pid_t pid, struct user_regs_struct regs, long nr, long a,
			  long b, long c, long d, long e, long f)
{
	regs.rip = syscall_of(pid);
	regs.rax = nr;
	/* Or the kernel would take it for one that was interrupted. */
	regs.orig_rax = -1;
	regs.rdi = a;
	regs.rsi = b;
	regs.rdx = c;
	regs.r10 = d;
	regs.r8 = e;
	regs.r9 = f;
	if (ptrace(PTRACE_SETREGS, pid, NULL, &regs))
		die("PTRACE_SETREGS");
}

/* Goes on to the begin or the end of a system call. */
static void to_syscall(pid_t pid)
{
	do {
		if (ptrace(PTRACE_SYSCALL, pid, NULL, NULL))
			die("PTRACE_SYSCALL");
	} while (stopped(pid) != (SIGTRAP | 0x80));
}

/*
 * Has the process, which is stopped, make a system call with six arguments, and
 * returns its result: that of the kernel, without errno.
 */
static long inject_6(pid_t pid, long nr, long a, long b, long c, long d, long e, long f)
{
	struct user_regs_struct saved, regs;

	if (ptrace(PTRACE_GETREGS, pid, NULL, &saved))
		die("PTRACE_GETREGS");
	begin_syscall(pid, saved, nr, a, b, c, d, e, f);
	to_syscall(pid);
	to_syscall(pid);
	if (ptrace(PTRACE_GETREGS, pid, NULL, &regs))
		die("PTRACE_GETREGS");
	/* Of the program that called execve() nothing is left to go back to. */
	if ((nr != SYS_execve || regs.rax) && ptrace(PTRACE_SETREGS, pid, NULL, &saved))
		die("PTRACE_SETREGS");
	return regs.rax;
}

/* Has the process begin a system call, whose end nobody waits for. */
static void inject_and_leave(pid_t pid, long nr, long a, long b, long c)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, pid, NULL, &regs))
		die("PTRACE_GETREGS");
	begin_syscall(pid, regs, nr, a, b, c, 0, 0, 0);
	ptrace(PTRACE_CONT, pid, NULL, NULL);
}

#define inject(pid, nr, ...)						\
	inject_padded(pid, nr, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define inject_padded(pid, nr, a, b, c, d, e, f, ...)			\
	inject_6(pid, nr, (long)(a), (long)(b), (long)(c), (long)(d),	\
		 (long)(e), (long)(f))

#endif /* INJECT_H */
