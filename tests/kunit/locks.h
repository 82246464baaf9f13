/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _NONBLOCK_KUNIT_LOCKS_H
#define _NONBLOCK_KUNIT_LOCKS_H

void nonblock_kunit_cond_resched(void);
void nonblock_kunit_read_lock(void);
void nonblock_kunit_write_lock(void);
void nonblock_kunit_local_lock(void);

#endif /* _NONBLOCK_KUNIT_LOCKS_H */
