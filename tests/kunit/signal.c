// SPDX-License-Identifier: GPL-2.0
/*
 * A signal that is pending for the task of a test, which is a kernel thread and
 * so has none by itself.
 */

#include <linux/sched/signal.h>

#include "signal.h"

void nonblock_kunit_signal_begin(void)
{
	allow_signal(SIGUSR1);
	send_sig(SIGUSR1, current, 1);
}

void nonblock_kunit_signal_end(void)
{
	flush_signals(current);
	disallow_signal(SIGUSR1);
}

/* As complete_signal() does for a signal that kills. */
void nonblock_kunit_kill_begin(void)
{
	guard(spinlock_irq)(&current->sighand->siglock);
	sigaddset(&current->pending.signal, SIGKILL);
	set_thread_flag(TIF_SIGPENDING);
}

void nonblock_kunit_kill_end(void)
{
	flush_signals(current);
}
