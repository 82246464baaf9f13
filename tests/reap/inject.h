/* SPDX-License-Identifier: GPL-2.0 */
/*
 * System calls that another process makes for us, although its program knows
 * nothing about it.
 */
#ifndef INJECT_H
#define INJECT_H

#include <elf.h>
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
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

#ifdef __x86_64__
/* syscall */
static const char instruction[] = { 0x0f, 0x05 };

static void set_syscall(struct user_regs_struct *regs, unsigned long at, long nr,
			const long args[6])
{
	regs->rip = at;
	regs->rax = nr;
	/* Or the kernel would take it for one that was interrupted. */
	regs->orig_rax = -1;
	regs->rdi = args[0];
	regs->rsi = args[1];
	regs->rdx = args[2];
	regs->r10 = args[3];
	regs->r8 = args[4];
	regs->r9 = args[5];
}

static long result(const struct user_regs_struct *regs)
{
	return regs->rax;
}
#elif defined(__aarch64__)
/* svc #0 */
static const char instruction[] = { 0x01, 0x00, 0x00, 0xd4 };

/*
 * When a process stops, the kernel has forgotten the system call that was
 * interrupted: the registers are those that begin it again.
 */
static void set_syscall(struct user_regs_struct *regs, unsigned long at, long nr,
			const long args[6])
{
	regs->pc = at;
	regs->regs[8] = nr;
	for (int i = 0; i < 6; i++)
		regs->regs[i] = args[i];
}

static long result(const struct user_regs_struct *regs)
{
	return regs->regs[0];
}
#endif

static struct user_regs_struct get_regs(pid_t pid)
{
	struct user_regs_struct regs;
	struct iovec iov = { &regs, sizeof(regs) };

	if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &iov))
		die("PTRACE_GETREGSET");
	return regs;
}

static void set_regs(pid_t pid, struct user_regs_struct regs)
{
	struct iovec iov = { &regs, sizeof(regs) };

	if (ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &iov))
		die("PTRACE_SETREGSET");
}

/* Where the process has an instruction for system calls: the vDSO does. */
static unsigned long syscall_of(pid_t pid)
{
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

/* Has the process, which is stopped and has these registers, begin a system call. */
static void begin_syscall(pid_t pid, struct user_regs_struct regs, long nr,
			  const long args[6])
{
	set_syscall(&regs, syscall_of(pid), nr, args);
	set_regs(pid, regs);
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
static long inject_6(pid_t pid, long nr, const long args[6])
{
	struct user_regs_struct saved = get_regs(pid), regs;

	begin_syscall(pid, saved, nr, args);
	to_syscall(pid);
	to_syscall(pid);
	regs = get_regs(pid);
	/* Of the program that called execve() nothing is left to go back to. */
	if (nr != SYS_execve || result(&regs))
		set_regs(pid, saved);
	return result(&regs);
}

/* Has the process begin a system call, whose end nobody waits for. */
static void inject_and_leave(pid_t pid, long nr, long a, long b, long c)
{
	begin_syscall(pid, get_regs(pid), nr, (long[6]){ a, b, c });
	ptrace(PTRACE_CONT, pid, NULL, NULL);
}

#define inject(pid, nr, ...)						\
	inject_padded(pid, nr, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define inject_padded(pid, nr, a, b, c, d, e, f, ...)			\
	inject_6(pid, nr, (long[6]){ (long)(a), (long)(b), (long)(c),	\
				     (long)(d), (long)(e), (long)(f) })

#endif /* INJECT_H */
