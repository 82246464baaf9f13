// SPDX-License-Identifier: GPL-2.0
/*
 * Drivers that do nothing: their cost is the cost of the core.
 */

#include <linux/mm.h>
#include <linux/slab.h>

#include "twin.h"

static unsigned long no_work(void *slot)
{
	return 0;
}

static bool interval_done(struct mmu_interval_notifier *sub,
			  const struct mmu_notifier_range *range,
			  unsigned long seq)
{
	return true;
}

static const struct mmu_interval_notifier_ops interval_ops = {
	.invalidate = interval_done,
};

static bool interval_refused(struct mmu_interval_notifier *sub,
			     const struct mmu_notifier_range *range,
			     unsigned long seq)
{
	return false;
}

static const struct mmu_interval_notifier_ops refusing_ops = {
	.invalidate = interval_refused,
};

static int interval_insert(void *slot, struct mm_struct *mm,
			   unsigned long start, unsigned long end)
{
	return mmu_interval_notifier_insert(slot, mm, start, end - start,
					    &interval_ops);
}

static void interval_remove(void *slot)
{
	mmu_interval_notifier_remove(slot);
}

static void locked(void *slot, void (*f)(void *arg), void *arg)
{
	struct mmu_interval_notifier *sub = slot;

	sub->ops = &refusing_ops;
	f(arg);
	sub->ops = &interval_ops;
}

static bool read(void *slot, void (*f)(void *arg), void *arg)
{
	unsigned long seq = mmu_interval_read_begin(slot);

	if (f)
		f(arg);
	return !mmu_interval_read_retry(slot, seq);
}

struct two_pass {
	struct mmu_interval_notifier sub;
	struct mmu_interval_notifier_finish finish;
};

static bool two_pass_start(struct mmu_interval_notifier *sub,
			   const struct mmu_notifier_range *range,
			   unsigned long seq,
			   struct mmu_interval_notifier_finish **finish)
{
	*finish = &container_of(sub, struct two_pass, sub)->finish;
	return true;
}

static void two_pass_finish(struct mmu_interval_notifier_finish *finish)
{
}

static const struct mmu_interval_notifier_ops two_pass_ops = {
	.invalidate_start = two_pass_start,
	.invalidate_finish = two_pass_finish,
};

static int two_pass_insert(void *slot, struct mm_struct *mm,
			   unsigned long start, unsigned long end)
{
	return mmu_interval_notifier_insert(slot, mm, start, end - start,
					    &two_pass_ops);
}

static int list_start(struct mmu_notifier *sub,
		      const struct mmu_notifier_range *range)
{
	return 0;
}

static void list_end(struct mmu_notifier *sub,
		     const struct mmu_notifier_range *range)
{
}

static bool list_young(struct mmu_notifier *sub, struct mm_struct *mm,
		       unsigned long start, unsigned long end)
{
	return false;
}

static bool list_test_young(struct mmu_notifier *sub, struct mm_struct *mm,
			    unsigned long addr)
{
	return false;
}

static void list_release(struct mmu_notifier *sub, struct mm_struct *mm)
{
}

static const struct mmu_notifier_ops start_ops = {
	.release = list_release,
	.invalidate_range_start = list_start,
	.clear_flush_young = list_young,
	.clear_young = list_young,
	.test_young = list_test_young,
};

static int start_insert(void *slot, struct mm_struct *mm, unsigned long start,
			unsigned long end)
{
	return twin_subscribe(slot, mm, &start_ops);
}

static const struct mmu_notifier_ops counted_ops = {
	.invalidate_range_start = list_start,
	.invalidate_range_end = list_end,
};

static int counted_insert(void *slot, struct mm_struct *mm,
			  unsigned long start, unsigned long end)
{
	return twin_subscribe(slot, mm, &counted_ops);
}

static void arch_invalidate(struct mmu_notifier *sub, struct mm_struct *mm,
			    unsigned long start, unsigned long end)
{
}

static const struct mmu_notifier_ops arch_ops = {
	.arch_invalidate_secondary_tlbs = arch_invalidate,
};

static int arch_insert(void *slot, struct mm_struct *mm, unsigned long start,
		       unsigned long end)
{
	return twin_subscribe(slot, mm, &arch_ops);
}

static struct mmu_notifier *process_alloc(struct mm_struct *mm)
{
	struct mmu_notifier *sub = kzalloc(sizeof(*sub), GFP_KERNEL);

	return sub ?: ERR_PTR(-ENOMEM);
}

static void process_free(struct mmu_notifier *sub)
{
	kfree(sub);
}

static const struct mmu_notifier_ops process_ops = {
	.release = list_release,
	.alloc_notifier = process_alloc,
	.free_notifier = process_free,
};

static int get_put(struct mm_struct *mm, void (*f)(void *arg), void *arg)
{
	return twin_get_put(&process_ops, mm, f, arg);
}

static void section(void)
{
}

const struct twin twin_core = {
	.name = "core",
	.interval = { sizeof(struct mmu_interval_notifier), interval_insert,
		      interval_remove, no_work },
	.two_pass = { sizeof(struct two_pass), two_pass_insert,
		      interval_remove, no_work },
	.deferring = { sizeof(struct mmu_interval_notifier), interval_insert,
		       interval_remove, no_work },
	.list = { sizeof(struct mmu_notifier), start_insert, twin_unsubscribe,
		  no_work },
	.counted = { sizeof(struct mmu_notifier), counted_insert, twin_unsubscribe,
		     no_work },
	.arch = { sizeof(struct mmu_notifier), arch_insert, twin_unsubscribe,
		  no_work },
	.section = section,
	.locked = locked,
	.deferring_locked = locked,
	.read = read,
	.get_put = get_put,
};
