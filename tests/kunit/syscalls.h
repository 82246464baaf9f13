/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _NONBLOCK_KUNIT_SYSCALLS_H
#define _NONBLOCK_KUNIT_SYSCALLS_H

long nonblock_kunit_mprotect(unsigned long addr, size_t len, unsigned long prot);
long nonblock_kunit_mremap(unsigned long addr, size_t old_len, size_t new_len,
			   unsigned long flags, unsigned long new_addr);
long nonblock_kunit_madvise(unsigned long addr, size_t len, int advice);
long nonblock_kunit_fork(void);

#endif /* _NONBLOCK_KUNIT_SYSCALLS_H */
