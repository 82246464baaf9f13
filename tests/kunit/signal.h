/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _NONBLOCK_KUNIT_SIGNAL_H
#define _NONBLOCK_KUNIT_SIGNAL_H

void nonblock_kunit_signal_begin(void);
void nonblock_kunit_signal_end(void);
void nonblock_kunit_kill_begin(void);
void nonblock_kunit_kill_end(void);

#endif /* _NONBLOCK_KUNIT_SIGNAL_H */
