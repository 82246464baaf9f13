// SPDX-License-Identifier: GPL-2.0
/*
 * System calls of a test, which is a kernel thread with an address space. They
 * change the address space, and no other function for this is exported.
 */

#include <linux/sched/task.h>
#include <linux/syscalls.h>

#include <asm/syscall.h>
#include <asm/unistd.h>

#include "syscalls.h"

static long call(unsigned int nr, unsigned long a, unsigned long b,
		 unsigned long c, unsigned long d, unsigned long e)
{
#ifdef CONFIG_UML
	return sys_call_table[nr](a, b, c, d, e, 0);
#elif defined(CONFIG_X86_64)
	struct pt_regs regs = {
		.di = a, .si = b, .dx = c, .r10 = d, .r8 = e,
	};

	return sys_call_table[nr](&regs);
#elif defined(CONFIG_ARM64)
	struct pt_regs regs = {
		.orig_x0 = a, .regs = { a, b, c, d, e },
	};

	return sys_call_table[nr](&regs);
#else
	return -EOPNOTSUPP;
#endif
}

long nonblock_kunit_mprotect(unsigned long addr, size_t len, unsigned long prot)
{
	return call(__NR_mprotect, addr, len, prot, 0, 0);
}

long nonblock_kunit_mremap(unsigned long addr, size_t old_len, size_t new_len,
			   unsigned long flags, unsigned long new_addr)
{
	return call(__NR_mremap, addr, old_len, new_len, flags, new_addr);
}

long nonblock_kunit_madvise(unsigned long addr, size_t len, int advice)
{
	return call(__NR_madvise, addr, len, advice, 0, 0);
}

static int child(void *unused)
{
	do_exit(0);
}

/* A child with a copy of the address space, which exits at once. */
long nonblock_kunit_fork(void)
{
	struct kernel_clone_args args = {
		.flags = CLONE_VFORK,
		/* Kernel threads ignore signals, so that the child is reaped. */
		.exit_signal = SIGCHLD,
		.fn = child,
	};
	pid_t pid = kernel_clone(&args);

	return pid < 0 ? pid : 0;
}
