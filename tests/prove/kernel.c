// SPDX-License-Identifier: GPL-2.0
/* What the controls call, in a file of its own: the files have to be linked. */
#include "kernel.h"

void __might_sleep(const char *file, int line)
{
}

void schedule(void)
{
}

long schedule_timeout(long timeout)
{
	if (timeout)
		schedule();
	return 0;
}

void mutex_lock(void *m)
{
	__might_sleep(__FILE__, __LINE__);
}

bool mutex_trylock(void *m)
{
	return __atomic_exchange_n((int *)m, 1, __ATOMIC_ACQUIRE) == 0;
}

void msleep(unsigned int ms)
{
	schedule_timeout(ms);
}

void *slab_alloc(size_t size, gfp_t gfp)
{
	static char memory[64];

	if (!(current->flags & PF_MEMALLOC) && gfpflags_allow_blocking(gfp))
		__might_sleep(__FILE__, __LINE__);
	return memory;
}

/* Called by assembly. */
void allocates_in_c(void)
{
	slab_alloc(8, GFP_KERNEL);
}

void __attribute__((weak)) weak_one(void *p)
{
	mutex_lock(p);
}

void warn(const char *why)
{
}

struct task_struct *current_task;

/* In rust/helpers/nonblock.c. */
void rust_helper_non_block_start(void)
{
	non_block_start();
}

void rust_helper_non_block_end(void)
{
	non_block_end();
}

/* In rust/helpers/reclaim.c. */
unsigned int rust_helper_memalloc_noreclaim_save(void)
{
	return memalloc_noreclaim_save();
}

/* As memalloc_apply_gfp_scope() and memalloc_restore_scope() in mm/vmalloc.c. */
noinline unsigned int scope_begins(gfp_t gfp)
{
	return gfpflags_allow_blocking(gfp) ? memalloc_flags_save(PF_MEMALLOC_NOFS) : memalloc_noreclaim_save();
}

noinline void scope_ends(unsigned int flags)
{
	if (flags)
		memalloc_flags_restore(flags);
}

/* A section that begins and ends in functions of another file. */
void section_begins(void)
{
	non_block_start();
}

void section_ends(void)
{
	non_block_end();
}

/* As in mm/mmu_notifier.c: the callbacks are judged by themselves, with a range that must not block. */
int n_plain_core(const struct mmu_notifier_ops *ops, struct mmu_notifier *mn,
			    const struct mmu_notifier_range *range)
{
	int ret;

	if (!mmu_notifier_range_blockable(range))
		non_block_start();
	ret = ops->invalidate_range_start(mn, range);
	if (!mmu_notifier_range_blockable(range))
		non_block_end();
	if (ret)
		mutex_lock(mn);
	return ret;
}

/* Two callers of the fields, so that the types of the callbacks are known, as in mm/mmu_notifier.c. */
bool n_plain_call_interval(const struct mmu_interval_notifier_ops *ops, ARGS)
{
	void *finish;

	if (ops->invalidate_start)
		return ops->invalidate_start(mni, range, seq, &finish);
	non_block_start();
	ops->invalidate_finish(finish);
	non_block_end();
	return ops->invalidate(mni, range, seq);
}

int call_list(const struct mmu_notifier_ops *ops, struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	int young = ops->clear_young ? ops->clear_young(mn, NULL, 0, 0) : 0;

	if (ops->invalidate_range_end)
		ops->invalidate_range_end(mn, range);
	return ops->invalidate_range_start(mn, range) + young;
}
