// SPDX-License-Identifier: GPL-2.0
/*
 * Non-blocking sections of C code that take long.
 */

#include <linux/atomic.h>
#include <linux/err.h>
#include <linux/irqflags.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/preempt.h>
#include <linux/processor.h>
#include <linux/sched.h>
#include <linux/sched/debug.h>

#include "busy.h"

/* Returns the limit that there was before. */
unsigned int nonblock_kunit_set_limit(unsigned int ms)
{
	return xchg(&non_block_time_ms, ms);
}

/* mdelay() counts loops, and is short on a machine that was busy at the boot. */
static void spin(unsigned int ms)
{
	u64 end = ktime_get_ns() + ms * NSEC_PER_MSEC;

	while (ktime_get_ns() < end)
		cpu_relax();
}

void nonblock_kunit_busy_section(unsigned int ms)
{
	non_block_start();
	spin(ms);
	non_block_end();
}

/* No tick comes before the end. */
void nonblock_kunit_busy_section_irqs_off(unsigned int ms)
{
	unsigned long flags;

	local_irq_save(flags);
	non_block_start();
	spin(ms);
	non_block_end();
	local_irq_restore(flags);
}

struct other {
	bool done;
};

static int run_until_done(void *data)
{
	struct other *other = data;

	while (!READ_ONCE(other->done) && !kthread_should_stop())
		cond_resched();
	while (!kthread_should_stop())
		schedule_timeout_idle(1);
	return 0;
}

/*
 * A section in which another task has the CPU for ms, and which then takes
 * busy_ms itself.
 */
int nonblock_kunit_preempted_section(unsigned int ms, unsigned int busy_ms)
{
	struct other other = {};
	struct task_struct *task;
	u64 end;

	task = kthread_create(run_until_done, &other, "nonblock_other");
	if (IS_ERR(task))
		return PTR_ERR(task);

	migrate_disable();
	kthread_bind(task, raw_smp_processor_id());
	/* A thirtieth of the time is for this task. */
	set_user_nice(current, 15);
	wake_up_process(task);

	non_block_start();
	end = ktime_get_ns() + ms * NSEC_PER_MSEC;
	while (ktime_get_ns() < end)
		schedule();
	WRITE_ONCE(other.done, true);
	spin(busy_ms);
	non_block_end();

	set_user_nice(current, 0);
	migrate_enable();
	kthread_stop(task);
	return 0;
}
