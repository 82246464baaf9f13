// SPDX-License-Identifier: GPL-2.0
/*
 * The drivers in C, as twin_rust.rs has them in Rust.
 */

#include <linux/cleanup.h>
#include <linux/compiler.h>
#include <linux/export.h>
#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/secretmem.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/workqueue.h>

#include "twin.h"

/*
 * As kzalloc() would, but in words: QEMU counts each byte that memset() writes
 * as an instruction. All sizes are multiples of one.
 */
static void clear(void *slot, size_t size)
{
	memset64(slot, 0, size / sizeof(u64));
}

/*
 * A driver keeps a notifier that could be inserted, or frees it, and frees it
 * when it was removed. So the call before that is no jump, as it would be here
 * if the function ended with it.
 */
static void keep(void *slot)
{
	barrier_data(slot);
}

/* An interval notifier. */
struct interval {
	struct mmu_interval_notifier sub;
	unsigned long start;
	unsigned long end;
	struct mutex lock; /* for invalidated, and for readers */
	unsigned long invalidated;
};

/* The bytes of a range that are within that of the notifier. */
static unsigned long clipped(unsigned long from, unsigned long to,
			     const struct mmu_notifier_range *range)
{
	unsigned long start = max(range->start, from);
	unsigned long end = min(range->end, to);

	return end > start ? end - start : 0;
}

static bool interval_invalidate(struct mmu_interval_notifier *sub,
				const struct mmu_notifier_range *range,
				unsigned long seq)
{
	struct interval *interval = container_of(sub, struct interval, sub);

	if (mmu_notifier_range_blockable(range))
		mutex_lock(&interval->lock);
	else if (!mutex_trylock(&interval->lock))
		return false;
	mmu_interval_set_seq(sub, seq);
	interval->invalidated += clipped(interval->start, interval->end, range);
	mutex_unlock(&interval->lock);
	return true;
}

static const struct mmu_interval_notifier_ops interval_ops = {
	.invalidate = interval_invalidate,
};

static int insert(struct interval *interval, struct mm_struct *mm,
		  unsigned long start, unsigned long end,
		  const struct mmu_interval_notifier_ops *ops)
{
	int ret;

	mutex_init(&interval->lock);
	interval->start = start;
	interval->end = end;
	ret = mmu_interval_notifier_insert(&interval->sub, mm, start,
					   end - start, ops);
	keep(interval);
	return ret;
}

static int interval_insert(void *slot, struct mm_struct *mm,
			   unsigned long start, unsigned long end)
{
	clear(slot, sizeof(struct interval));
	return insert(slot, mm, start, end, &interval_ops);
}

static void interval_remove(void *slot)
{
	struct interval *interval = slot;

	mmu_interval_notifier_remove(&interval->sub);
	keep(interval);
}

static unsigned long interval_work(void *slot)
{
	struct interval *interval = slot;

	return interval->invalidated;
}

static void locked(void *slot, void (*f)(void *arg), void *arg)
{
	struct interval *interval = slot;

	mutex_lock(&interval->lock);
	f(arg);
	mutex_unlock(&interval->lock);
}

static bool read(void *slot, void (*f)(void *arg), void *arg)
{
	struct interval *interval = slot;
	unsigned long seq = mmu_interval_read_begin(&interval->sub);
	bool valid;

	if (f)
		f(arg);
	mutex_lock(&interval->lock);
	valid = !mmu_interval_read_retry(&interval->sub, seq);
	mutex_unlock(&interval->lock);
	return valid;
}

/*
 * An interval notifier with two passes. There is memory for one finish. An
 * invalidation that begins meanwhile has none.
 */
struct two_pass {
	struct interval interval;
	struct mmu_interval_notifier_finish finish;
	unsigned long bytes;
	bool finishing;
	atomic_long_t finished;
};

static bool two_pass_start(struct mmu_interval_notifier *sub,
			   const struct mmu_notifier_range *range,
			   unsigned long seq,
			   struct mmu_interval_notifier_finish **finish)
{
	struct two_pass *two_pass =
		container_of(sub, struct two_pass, interval.sub);
	struct interval *interval = &two_pass->interval;
	bool wait = mmu_notifier_range_blockable(range);
	unsigned long bytes;

	if (wait)
		mutex_lock(&interval->lock);
	else if (!mutex_trylock(&interval->lock))
		return false;
	mmu_interval_set_seq(sub, seq);
	bytes = clipped(interval->start, interval->end, range);
	interval->invalidated += bytes;
	/* Pairs with the release of two_pass_finish(). */
	if (wait && !smp_load_acquire(&two_pass->finishing)) {
		WRITE_ONCE(two_pass->finishing, true);
		two_pass->bytes = bytes;
		*finish = &two_pass->finish;
	} else {
		atomic_long_add(bytes, &two_pass->finished);
	}
	mutex_unlock(&interval->lock);
	return true;
}

static void two_pass_finish(struct mmu_interval_notifier_finish *finish)
{
	struct two_pass *two_pass =
		container_of(finish, struct two_pass, finish);
	unsigned long bytes = two_pass->bytes;

	/* Pairs with the acquire: the next one may write to it. */
	smp_store_release(&two_pass->finishing, false);
	atomic_long_add(bytes, &two_pass->finished);
}

static const struct mmu_interval_notifier_ops two_pass_ops = {
	.invalidate_start = two_pass_start,
	.invalidate_finish = two_pass_finish,
};

static int two_pass_insert(void *slot, struct mm_struct *mm,
			   unsigned long start, unsigned long end)
{
	clear(slot, sizeof(struct two_pass));
	return insert(slot, mm, start, end, &two_pass_ops);
}

static unsigned long two_pass_work(void *slot)
{
	struct two_pass *two_pass = slot;

	return interval_work(slot) + atomic_long_read(&two_pass->finished);
}

/*
 * An interval notifier whose refusals are made good, as DeferringNotifier does
 * it. There is nothing in a span that ends at 0.
 */
struct span {
	unsigned long start;
	unsigned long end;
};

struct deferring {
	struct interval interval;
	struct work_struct work;
	spinlock_t lock; /* for the rest */
	struct span waiting;
	struct span running;
	bool stopped;
};

static struct workqueue_struct *queue;

static bool overlaps(const struct span *a, const struct span *b)
{
	return a->start < b->end && b->start < a->end;
}

static bool is_outstanding(struct deferring *deferring, const struct span *span)
{
	guard(spinlock)(&deferring->lock);
	return overlaps(span, &deferring->waiting) ||
	       overlaps(span, &deferring->running);
}

static void defer(struct deferring *deferring, const struct span *span)
{
	struct span *waiting = &deferring->waiting;
	struct span *running = &deferring->running;

	guard(spinlock)(&deferring->lock);
	if (deferring->stopped ||
	    (running->start <= span->start && span->end <= running->end))
		return;
	waiting->start = waiting->end ? min(waiting->start, span->start) :
					span->start;
	waiting->end = max(waiting->end, span->end);
	queue_work(queue, &deferring->work);
}

static void make_good(struct work_struct *work)
{
	struct deferring *deferring =
		container_of(work, struct deferring, work);
	struct span span;

	scoped_guard(spinlock, &deferring->lock) {
		span = deferring->waiting;
		deferring->waiting = (struct span){};
		deferring->running = span;
	}
	if (span.end)
		mmu_interval_notifier_invalidate(&deferring->interval.sub,
						 span.start, span.end);
	scoped_guard(spinlock, &deferring->lock)
		deferring->running = (struct span){};
}

static bool deferring_invalidate(struct mmu_interval_notifier *sub,
				 const struct mmu_notifier_range *range,
				 unsigned long seq)
{
	struct deferring *deferring =
		container_of(sub, struct deferring, interval.sub);
	struct span span = {
		max(range->start, deferring->interval.start),
		min(range->end, deferring->interval.end),
	};

	if (mmu_notifier_range_blockable(range))
		return interval_invalidate(sub, range, seq);
	if (!is_outstanding(deferring, &span) &&
	    interval_invalidate(sub, range, seq))
		return true;
	defer(deferring, &span);
	return false;
}

static const struct mmu_interval_notifier_ops deferring_ops = {
	.invalidate = deferring_invalidate,
};

static int deferring_insert(void *slot, struct mm_struct *mm,
			    unsigned long start, unsigned long end)
{
	struct deferring *deferring = slot;

	queue = queue ?: alloc_workqueue("mmu_notifier_twin",
					 WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!queue)
		return -ENOMEM;
	clear(deferring, sizeof(*deferring));
	INIT_WORK(&deferring->work, make_good);
	spin_lock_init(&deferring->lock);
	return insert(slot, mm, start, end, &deferring_ops);
}

static void deferring_remove(void *slot)
{
	struct deferring *deferring = slot;

	scoped_guard(spinlock, &deferring->lock)
		deferring->stopped = true;
	cancel_work_sync(&deferring->work);
	interval_remove(slot);
}

/* A list notifier whose start may refuse. */
struct list {
	struct mmu_notifier sub;
	struct mutex lock; /* for invalidated */
	unsigned long invalidated;
	spinlock_t age_lock; /* for asked */
	unsigned long asked;
};

static void list_release(struct mmu_notifier *sub, struct mm_struct *mm)
{
	struct list *list = container_of(sub, struct list, sub);

	mutex_lock(&list->lock);
	list->invalidated = 0;
	mutex_unlock(&list->lock);
}

static int list_start(struct mmu_notifier *sub,
		      const struct mmu_notifier_range *range)
{
	struct list *list = container_of(sub, struct list, sub);

	if (mmu_notifier_range_blockable(range))
		mutex_lock(&list->lock);
	else if (!mutex_trylock(&list->lock))
		return -EAGAIN;
	list->invalidated += range->end - range->start;
	mutex_unlock(&list->lock);
	return 0;
}

/* Whether the device has used the memory: every second time. */
static bool young(struct mmu_notifier *sub)
{
	struct list *list = container_of(sub, struct list, sub);

	guard(spinlock)(&list->age_lock);
	return list->asked++ & 1;
}

static bool list_clear_flush_young(struct mmu_notifier *sub,
				   struct mm_struct *mm, unsigned long start,
				   unsigned long end)
{
	return young(sub);
}

static bool list_clear_young(struct mmu_notifier *sub, struct mm_struct *mm,
			     unsigned long start, unsigned long end)
{
	return young(sub);
}

static bool list_test_young(struct mmu_notifier *sub, struct mm_struct *mm,
			    unsigned long addr)
{
	return young(sub);
}

static const struct mmu_notifier_ops list_ops = {
	.release = list_release,
	.invalidate_range_start = list_start,
	.clear_flush_young = list_clear_flush_young,
	.clear_young = list_clear_young,
	.test_young = list_test_young,
};

static int list_insert(void *slot, struct mm_struct *mm, unsigned long start,
		       unsigned long end)
{
	struct list *list = slot;

	clear(list, sizeof(*list));
	mutex_init(&list->lock);
	spin_lock_init(&list->age_lock);
	return twin_subscribe(&list->sub, mm, &list_ops);
}

static unsigned long list_work(void *slot)
{
	struct list *list = slot;

	return list->invalidated + list->asked;
}

/* A list notifier that counts starts against ends. */
struct counted {
	struct mmu_notifier sub;
	spinlock_t lock; /* for both */
	unsigned long active;
	unsigned long ended;
};

static int counted_start(struct mmu_notifier *sub,
			 const struct mmu_notifier_range *range)
{
	struct counted *counted = container_of(sub, struct counted, sub);

	spin_lock(&counted->lock);
	counted->active++;
	spin_unlock(&counted->lock);
	return 0;
}

static void counted_end(struct mmu_notifier *sub,
			const struct mmu_notifier_range *range)
{
	struct counted *counted = container_of(sub, struct counted, sub);

	spin_lock(&counted->lock);
	counted->active--;
	counted->ended++;
	spin_unlock(&counted->lock);
}

static const struct mmu_notifier_ops counted_ops = {
	.invalidate_range_start = counted_start,
	.invalidate_range_end = counted_end,
};

static int counted_insert(void *slot, struct mm_struct *mm,
			  unsigned long start, unsigned long end)
{
	struct counted *counted = slot;

	clear(counted, sizeof(*counted));
	spin_lock_init(&counted->lock);
	return twin_subscribe(&counted->sub, mm, &counted_ops);
}

static unsigned long counted_work(void *slot)
{
	struct counted *counted = slot;

	return counted->active + counted->ended;
}

/* A list notifier of a device that walks the page tables of the CPU. */
struct arch {
	struct mmu_notifier sub;
	spinlock_t lock; /* for flushed, and the commands to the device */
	unsigned long flushed;
};

static void arch_invalidate(struct mmu_notifier *sub, struct mm_struct *mm,
			    unsigned long start, unsigned long end)
{
	struct arch *arch = container_of(sub, struct arch, sub);

	spin_lock(&arch->lock);
	arch->flushed += end - start;
	spin_unlock(&arch->lock);
}

static const struct mmu_notifier_ops arch_ops = {
	.arch_invalidate_secondary_tlbs = arch_invalidate,
};

static int arch_insert(void *slot, struct mm_struct *mm, unsigned long start,
		       unsigned long end)
{
	struct arch *arch = slot;

	clear(arch, sizeof(*arch));
	spin_lock_init(&arch->lock);
	return twin_subscribe(&arch->sub, mm, &arch_ops);
}

static unsigned long arch_work(void *slot)
{
	struct arch *arch = slot;

	return arch->flushed;
}

/* The one of an mm. */
struct process {
	struct mmu_notifier sub;
	unsigned long released;
};

static struct mmu_notifier *process_alloc(struct mm_struct *mm)
{
	struct process *process = kzalloc(sizeof(*process), GFP_KERNEL);

	return process ? &process->sub : ERR_PTR(-ENOMEM);
}

static void process_free(struct mmu_notifier *sub)
{
	kfree(container_of(sub, struct process, sub));
}

static void process_release(struct mmu_notifier *sub, struct mm_struct *mm)
{
	struct process *process = container_of(sub, struct process, sub);

	WRITE_ONCE(process->released, 1);
}

static const struct mmu_notifier_ops process_ops = {
	.release = process_release,
	.alloc_notifier = process_alloc,
	.free_notifier = process_free,
};

static int get_put(struct mm_struct *mm, void (*f)(void *arg), void *arg)
{
	return twin_get_put(&process_ops, mm, f, arg);
}

static void section(void)
{
	non_block_start();
	non_block_end();
}

const struct twin twin_c = {
	.name = "c",
	.interval = { sizeof(struct interval), interval_insert,
		      interval_remove, interval_work },
	.two_pass = { sizeof(struct two_pass), two_pass_insert,
		      interval_remove, two_pass_work },
	.deferring = { sizeof(struct deferring), deferring_insert,
		       deferring_remove, interval_work },
	.list = { sizeof(struct list), list_insert, twin_unsubscribe,
		  list_work },
	.counted = { sizeof(struct counted), counted_insert, twin_unsubscribe,
		     counted_work },
	.arch = { sizeof(struct arch), arch_insert, twin_unsubscribe,
		  arch_work },
	.section = section,
	.locked = locked,
	.deferring_locked = locked,
	.read = read,
	.get_put = get_put,
};

/*
 * For mmu_mirror_twin.c, which is a module, and so has to call the kernel for
 * that, as the driver in Rust has to call the kernel crate.
 */
bool twin_page_is_secret(const struct page *page)
{
	struct address_space *mapping = folio_mapping(page_folio(page));

	return mapping && secretmem_mapping(mapping);
}
EXPORT_SYMBOL_GPL(twin_page_is_secret);
