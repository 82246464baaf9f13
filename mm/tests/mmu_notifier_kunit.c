// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for mm/mmu_notifier.c
 *
 * Each test has an address space of its own, in which nothing is mapped, so
 * that all invalidations are those of the test.
 *
 * Tasks that wait can wait for ever if a test fails. What they use is then not
 * freed.
 */
#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/mmu_notifier.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/workqueue.h>

MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");

struct test_context {
	struct mm_struct *mm;
	int calls;		/* of callbacks, for their order */
};

/* An interval notifier, and what its callbacks were given. */
struct test_interval {
	struct mmu_interval_notifier sub;
	struct mmu_interval_notifier_finish finish;
	struct test_context *ctx;
	bool refuse;		/* a range that is not blockable */
	bool refuse_always;
	bool two_passes;	/* ask for the second */
	int called;
	int order;
	int finished;
	int finish_order;
	int sections;		/* non-blocking ones, around the last call */
	unsigned long seq;
	struct mmu_notifier_range range;
};

/* A list notifier, and how often its callbacks were called. */
struct test_list {
	struct mmu_notifier sub;
	struct test_context *ctx;
	bool refuse;
	bool refuse_always;
	bool young;
	int started;
	int ended;
	int asked;		/* about young */
	int flushed;
	int released;
	int order;
	int sections;
};

static int sections(void)
{
#ifdef CONFIG_DEBUG_ATOMIC_SLEEP
	return current->non_block_count;
#else
	return 0;
#endif
}

static bool interval_call(struct test_interval *interval,
			  const struct mmu_notifier_range *range,
			  unsigned long cur_seq)
{
	interval->called++;
	interval->order = ++interval->ctx->calls;
	interval->sections = sections();
	interval->seq = cur_seq;
	interval->range = *range;
	if (interval->refuse_always ||
	    (interval->refuse && !mmu_notifier_range_blockable(range)))
		return false;
	mmu_interval_set_seq(&interval->sub, cur_seq);
	return true;
}

static bool interval_invalidate(struct mmu_interval_notifier *sub,
				const struct mmu_notifier_range *range,
				unsigned long cur_seq)
{
	return interval_call(container_of(sub, struct test_interval, sub),
			     range, cur_seq);
}

static bool interval_start(struct mmu_interval_notifier *sub,
			   const struct mmu_notifier_range *range,
			   unsigned long cur_seq,
			   struct mmu_interval_notifier_finish **finish)
{
	struct test_interval *interval =
		container_of(sub, struct test_interval, sub);

	if (interval->two_passes)
		*finish = &interval->finish;
	return interval_call(interval, range, cur_seq);
}

static void interval_finish(struct mmu_interval_notifier_finish *finish)
{
	struct test_interval *interval =
		container_of(finish, struct test_interval, finish);

	interval->finished++;
	interval->finish_order = ++interval->ctx->calls;
	interval->sections = sections();
}

static const struct mmu_interval_notifier_ops interval_ops = {
	.invalidate = interval_invalidate,
};

static const struct mmu_interval_notifier_ops two_pass_ops = {
	.invalidate_start = interval_start,
	.invalidate_finish = interval_finish,
};

static const struct mmu_interval_notifier_ops one_of_two_ops = {
	.invalidate_start = interval_start,
};

static int list_start(struct mmu_notifier *sub,
		      const struct mmu_notifier_range *range)
{
	struct test_list *list = container_of(sub, struct test_list, sub);

	list->started++;
	list->order = ++list->ctx->calls;
	list->sections = sections();
	if (list->refuse_always ||
	    (list->refuse && !mmu_notifier_range_blockable(range)))
		return -EAGAIN;
	return 0;
}

static void list_end(struct mmu_notifier *sub,
		     const struct mmu_notifier_range *range)
{
	struct test_list *list = container_of(sub, struct test_list, sub);

	list->ended++;
	list->sections = sections();
}

static void list_release(struct mmu_notifier *sub, struct mm_struct *mm)
{
	container_of(sub, struct test_list, sub)->released++;
}

static bool list_flush_young(struct mmu_notifier *sub, struct mm_struct *mm,
			     unsigned long start, unsigned long end)
{
	struct test_list *list = container_of(sub, struct test_list, sub);

	list->asked++;
	return list->young;
}

static bool list_test_young(struct mmu_notifier *sub, struct mm_struct *mm,
			    unsigned long address)
{
	return list_flush_young(sub, mm, address, address + PAGE_SIZE);
}

static void list_flush(struct mmu_notifier *sub, struct mm_struct *mm,
		       unsigned long start, unsigned long end)
{
	container_of(sub, struct test_list, sub)->flushed++;
}

static const struct mmu_notifier_ops list_ops = {
	.release = list_release,
	.invalidate_range_start = list_start,
	.invalidate_range_end = list_end,
	.clear_flush_young = list_flush_young,
	.clear_young = list_flush_young,
	.test_young = list_test_young,
};

/* Who refuses can't have an end. */
static const struct mmu_notifier_ops refusing_ops = {
	.invalidate_range_start = list_start,
};

static const struct mmu_notifier_ops flush_ops = {
	.arch_invalidate_secondary_tlbs = list_flush,
};

static const struct mmu_notifier_ops flush_and_start_ops = {
	.arch_invalidate_secondary_tlbs = list_flush,
	.invalidate_range_start = list_start,
};

/* An interval notifier for the pages from @first up to, without, @end. */
static struct test_interval *insert(struct kunit *test, unsigned long first,
				    unsigned long end,
				    const struct mmu_interval_notifier_ops *ops)
{
	struct test_context *ctx = test->priv;
	struct test_interval *interval = kzalloc_obj(*interval);

	KUNIT_ASSERT_NOT_NULL(test, interval);
	interval->ctx = ctx;
	KUNIT_ASSERT_EQ(test, 0,
			mmu_interval_notifier_insert(&interval->sub, ctx->mm,
						     first * PAGE_SIZE,
						     (end - first) * PAGE_SIZE,
						     ops));
	return interval;
}

static void remove(struct test_interval *interval)
{
	mmu_interval_notifier_remove(&interval->sub);
	kfree(interval);
}

static struct test_list *list_register(struct kunit *test,
				       const struct mmu_notifier_ops *ops)
{
	struct test_context *ctx = test->priv;
	struct test_list *list = kzalloc_obj(*list);

	KUNIT_ASSERT_NOT_NULL(test, list);
	list->ctx = ctx;
	list->sub.ops = ops;
	KUNIT_ASSERT_EQ(test, 0, mmu_notifier_register(&list->sub, ctx->mm));
	return list;
}

static void list_unregister(struct test_list *list)
{
	mmu_notifier_unregister(&list->sub, list->ctx->mm);
	kfree(list);
}

/* An invalidation of the pages from @first up to, without, @end. */
static struct mmu_notifier_range pages(struct kunit *test, unsigned long first,
				       unsigned long end)
{
	struct test_context *ctx = test->priv;
	struct mmu_notifier_range range;

	mmu_notifier_range_init(&range, MMU_NOTIFY_CLEAR, 0, ctx->mm,
				first * PAGE_SIZE, end * PAGE_SIZE);
	return range;
}

static void invalidate(struct kunit *test, unsigned long first,
		       unsigned long end)
{
	struct mmu_notifier_range range = pages(test, first, end);

	mmu_notifier_invalidate_range_start(&range);
	mmu_notifier_invalidate_range_end(&range);
}

/* A task that calls a function that may have to wait. */
struct waiter {
	struct work_struct work;
	struct completion done;
	struct test_interval *interval;
	unsigned long seq;
};

static void read_begin_fn(struct work_struct *work)
{
	struct waiter *waiter = container_of(work, struct waiter, work);

	waiter->seq = mmu_interval_read_begin(&waiter->interval->sub);
	complete_all(&waiter->done);
}

static void remove_fn(struct work_struct *work)
{
	struct waiter *waiter = container_of(work, struct waiter, work);

	mmu_interval_notifier_remove(&waiter->interval->sub);
	complete_all(&waiter->done);
}

static struct waiter *run(struct kunit *test, work_func_t fn,
			  struct test_interval *interval)
{
	struct waiter *waiter = kzalloc_obj(*waiter);

	KUNIT_ASSERT_NOT_NULL(test, waiter);
	INIT_WORK(&waiter->work, fn);
	init_completion(&waiter->done);
	waiter->interval = interval;
	queue_work(system_dfl_wq, &waiter->work);
	return waiter;
}

/* Whether the function does not return as long as nothing else happens. */
static bool waits(struct waiter *waiter)
{
	return !wait_for_completion_timeout(&waiter->done, HZ / 10);
}

static void expect_returned(struct kunit *test, struct waiter *waiter)
{
	KUNIT_ASSERT_NE(test, 0,
			wait_for_completion_timeout(&waiter->done, 5 * HZ));
	flush_work(&waiter->work);
}

static bool collides(struct test_interval *interval, unsigned long seq)
{
	return mmu_interval_read_retry(&interval->sub, seq);
}

static void interval_is_half_open(struct kunit *test)
{
	struct test_interval *interval = insert(test, 2, 4, &interval_ops);
	static const struct {
		unsigned long first, end;
		int called;
	} cases[] = {
		{ 0, 2, 0 }, { 1, 3, 1 }, { 2, 3, 1 }, { 3, 4, 1 },
		{ 3, 9, 1 }, { 4, 5, 0 }, { 0, 9, 1 },
	};

	for (int i = 0; i < ARRAY_SIZE(cases); i++) {
		interval->called = 0;
		invalidate(test, cases[i].first, cases[i].end);
		KUNIT_EXPECT_EQ_MSG(test, interval->called, cases[i].called,
				    "pages %lu to %lu", cases[i].first,
				    cases[i].end);
	}

	remove(interval);
}

static void insert_checks_the_range(struct kunit *test)
{
	struct test_context *ctx = test->priv;
	struct mmu_interval_notifier sub = {};
	int users = atomic_read(&ctx->mm->mm_count);
	int ret;

	ret = mmu_interval_notifier_insert(&sub, ctx->mm, PAGE_SIZE, 0,
					   &interval_ops);
	KUNIT_EXPECT_EQ(test, ret, -EOVERFLOW);
	KUNIT_EXPECT_NULL(test, sub.mm);

	ret = mmu_interval_notifier_insert(&sub, ctx->mm, -PAGE_SIZE,
					   2 * PAGE_SIZE, &interval_ops);
	KUNIT_EXPECT_EQ(test, ret, -EOVERFLOW);
	KUNIT_EXPECT_NULL(test, sub.mm);
	KUNIT_EXPECT_EQ(test, atomic_read(&ctx->mm->mm_count), users);

	/* The last page does not wrap around. */
	ret = mmu_interval_notifier_insert(&sub, ctx->mm, -PAGE_SIZE, PAGE_SIZE,
					   &interval_ops);
	KUNIT_ASSERT_EQ(test, ret, 0);
	KUNIT_EXPECT_PTR_EQ(test, sub.mm, ctx->mm);
	KUNIT_EXPECT_EQ(test, atomic_read(&ctx->mm->mm_count), users + 1);
	mmu_interval_notifier_remove(&sub);
	KUNIT_EXPECT_EQ(test, atomic_read(&ctx->mm->mm_count), users);
}

static void insert_with_the_mmap_lock(struct kunit *test)
{
	struct test_context *ctx = test->priv;
	struct test_interval interval = { .ctx = ctx };
	int ret;

	mmap_write_lock(ctx->mm);
	ret = mmu_interval_notifier_insert_locked(&interval.sub, ctx->mm, 0,
						  PAGE_SIZE, &interval_ops);
	mmap_write_unlock(ctx->mm);
	KUNIT_ASSERT_EQ(test, ret, 0);

	invalidate(test, 0, 1);
	KUNIT_EXPECT_EQ(test, interval.called, 1);
	mmu_interval_notifier_remove(&interval.sub);
}

static void missing_finish_is_warned_of(struct kunit *test)
{
	struct test_context *ctx = test->priv;
	struct mmu_interval_notifier sub = {};
	int ret = -EINVAL;

	kunit_warning_suppress(test) {
		mmap_write_lock(ctx->mm);
		ret = mmu_interval_notifier_insert_locked(&sub, ctx->mm, 0,
							  PAGE_SIZE,
							  &one_of_two_ops);
		mmap_write_unlock(ctx->mm);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
	}
	if (!ret)
		mmu_interval_notifier_remove(&sub);
}

static void no_collision_without_invalidation(struct kunit *test)
{
	struct test_interval *interval = insert(test, 0, 1, &interval_ops);
	struct test_interval *other = insert(test, 1, 2, &interval_ops);
	struct mmu_notifier_range range = pages(test, 1, 2);
	unsigned long seq;

	seq = mmu_interval_read_begin(&interval->sub);
	KUNIT_EXPECT_TRUE(test, seq & 1);
	KUNIT_EXPECT_FALSE(test, collides(interval, seq));

	/* Another range is invalidated, with a notifier of its own. */
	mmu_notifier_invalidate_range_start(&range);
	KUNIT_EXPECT_FALSE(test, collides(interval, seq));
	mmu_notifier_invalidate_range_end(&range);
	KUNIT_EXPECT_FALSE(test, collides(interval, seq));
	KUNIT_EXPECT_EQ(test, other->called, 1);
	KUNIT_EXPECT_EQ(test, interval->called, 0);

	remove(other);
	remove(interval);
}

static void invalidation_collides(struct kunit *test)
{
	struct test_interval *interval = insert(test, 0, 1, &interval_ops);
	struct mmu_notifier_range range = pages(test, 0, 1);
	unsigned long seq = mmu_interval_read_begin(&interval->sub);

	mmu_notifier_invalidate_range_start(&range);
	KUNIT_EXPECT_TRUE(test, interval->seq & 1);
	KUNIT_EXPECT_NE(test, interval->seq, seq);
	KUNIT_EXPECT_TRUE(test, collides(interval, seq));
	mmu_notifier_invalidate_range_end(&range);
	KUNIT_EXPECT_TRUE(test, collides(interval, seq));

	seq = mmu_interval_read_begin(&interval->sub);
	KUNIT_EXPECT_FALSE(test, collides(interval, seq));

	remove(interval);
}

static void each_invalidation_has_its_seq(struct kunit *test)
{
	struct test_interval *interval = insert(test, 0, 1, &interval_ops);
	unsigned long last = mmu_interval_read_begin(&interval->sub);

	for (int i = 0; i < 3; i++) {
		invalidate(test, 0, 1);
		KUNIT_EXPECT_EQ(test, interval->seq, last + 2);
		last = interval->seq;
	}

	remove(interval);
}

static void read_begin_waits_for_the_end(struct kunit *test)
{
	struct test_interval *interval = insert(test, 0, 1, &interval_ops);
	struct mmu_notifier_range outer = pages(test, 0, 1);
	struct mmu_notifier_range inner = pages(test, 0, 9);
	struct waiter *waiter;

	mmu_notifier_invalidate_range_start(&outer);
	waiter = run(test, read_begin_fn, interval);
	KUNIT_EXPECT_TRUE(test, waits(waiter));

	/* It is over when the last one is. */
	mmu_notifier_invalidate_range_start(&inner);
	KUNIT_EXPECT_EQ(test, interval->called, 2);
	mmu_notifier_invalidate_range_end(&outer);
	KUNIT_EXPECT_TRUE(test, waits(waiter));
	mmu_notifier_invalidate_range_end(&inner);
	expect_returned(test, waiter);
	KUNIT_EXPECT_FALSE(test, collides(interval, waiter->seq));

	kfree(waiter);
	remove(interval);
}

static void inserted_while_others_invalidate(struct kunit *test)
{
	struct test_interval *first = insert(test, 8, 9, &interval_ops);
	struct mmu_notifier_range range = pages(test, 0, 1);
	struct test_interval *interval;
	struct waiter *waiter;

	/* Nobody was called, so the tree may change. */
	mmu_notifier_invalidate_range_start(&range);
	interval = insert(test, 0, 1, &interval_ops);
	KUNIT_EXPECT_EQ(test, interval->called, 0);

	/* The range is taken for one that includes it. */
	waiter = run(test, read_begin_fn, interval);
	KUNIT_EXPECT_TRUE(test, waits(waiter));
	invalidate(test, 0, 1);
	KUNIT_EXPECT_EQ(test, interval->called, 1);
	KUNIT_EXPECT_TRUE(test, waits(waiter));
	mmu_notifier_invalidate_range_end(&range);
	expect_returned(test, waiter);
	KUNIT_EXPECT_EQ(test, first->called, 0);

	kfree(waiter);
	remove(interval);
	remove(first);
}

static void insert_is_deferred(struct kunit *test)
{
	struct test_interval *first = insert(test, 0, 1, &interval_ops);
	struct mmu_notifier_range range = pages(test, 0, 1);
	struct test_interval *interval;
	struct waiter *waiter;

	/* The tree may not change. */
	mmu_notifier_invalidate_range_start(&range);
	interval = insert(test, 0, 1, &interval_ops);
	invalidate(test, 0, 1);
	KUNIT_EXPECT_EQ(test, first->called, 2);
	KUNIT_EXPECT_EQ(test, interval->called, 0);
	waiter = run(test, read_begin_fn, interval);
	KUNIT_EXPECT_TRUE(test, waits(waiter));
	mmu_notifier_invalidate_range_end(&range);
	expect_returned(test, waiter);

	invalidate(test, 0, 1);
	KUNIT_EXPECT_EQ(test, interval->called, 1);

	kfree(waiter);
	remove(interval);
	remove(first);
}

static void deferred_insert_is_removed(struct kunit *test)
{
	struct test_interval *first = insert(test, 0, 1, &interval_ops);
	struct mmu_notifier_range range = pages(test, 0, 1);
	struct test_interval *interval;
	struct waiter *waiter;

	mmu_notifier_invalidate_range_start(&range);
	interval = insert(test, 0, 1, &interval_ops);
	/* Nothing has to end for that. */
	waiter = run(test, remove_fn, interval);
	expect_returned(test, waiter);
	mmu_notifier_invalidate_range_end(&range);

	invalidate(test, 0, 1);
	KUNIT_EXPECT_EQ(test, first->called, 2);
	KUNIT_EXPECT_EQ(test, interval->called, 0);

	kfree(waiter);
	kfree(interval);
	remove(first);
}

static void remove_waits_for_the_end(struct kunit *test)
{
	struct test_interval *interval = insert(test, 0, 1, &interval_ops);
	struct mmu_notifier_range range = pages(test, 0, 1);
	struct waiter *waiter;

	mmu_notifier_invalidate_range_start(&range);
	waiter = run(test, remove_fn, interval);
	KUNIT_EXPECT_TRUE(test, waits(waiter));
	/* Until then it is called. */
	invalidate(test, 0, 1);
	KUNIT_EXPECT_EQ(test, interval->called, 2);
	KUNIT_EXPECT_TRUE(test, waits(waiter));
	mmu_notifier_invalidate_range_end(&range);
	expect_returned(test, waiter);

	invalidate(test, 0, 1);
	KUNIT_EXPECT_EQ(test, interval->called, 2);

	kfree(waiter);
	kfree(interval);
}

static void interval_refuses(struct kunit *test)
{
	struct test_interval *interval = insert(test, 0, 1, &interval_ops);
	struct test_list *list = list_register(test, &list_ops);
	struct mmu_notifier_range range = pages(test, 0, 1);
	struct waiter *waiter;

	interval->refuse = true;
	KUNIT_EXPECT_EQ(test, -EAGAIN,
			mmu_notifier_invalidate_range_start_nonblock(&range));
	KUNIT_EXPECT_EQ(test, interval->called, 1);
	KUNIT_EXPECT_EQ(test, list->started, 0);
	KUNIT_EXPECT_EQ(test, list->ended, 0);

	/* There is no end of it that one could wait for. */
	waiter = run(test, remove_fn, interval);
	expect_returned(test, waiter);

	kfree(waiter);
	kfree(interval);
	list_unregister(list);
}

static void interval_refuses_after_others(struct kunit *test)
{
	struct test_interval *lets_go = insert(test, 0, 1, &interval_ops);
	struct test_interval *refuses = insert(test, 1, 2, &interval_ops);
	struct mmu_notifier_range range = pages(test, 0, 2);
	unsigned long seq = mmu_interval_read_begin(&lets_go->sub);
	struct waiter *waiter;

	refuses->refuse = true;
	KUNIT_EXPECT_EQ(test, -EAGAIN,
			mmu_notifier_invalidate_range_start_nonblock(&range));
	KUNIT_EXPECT_EQ(test, lets_go->called, 1);
	KUNIT_EXPECT_TRUE(test, collides(lets_go, seq));

	waiter = run(test, read_begin_fn, lets_go);
	expect_returned(test, waiter);

	kfree(waiter);
	remove(refuses);
	remove(lets_go);
}

static void list_refuses_after_intervals(struct kunit *test)
{
	struct test_interval *interval = insert(test, 0, 1, &interval_ops);
	struct test_list *refuses = list_register(test, &refusing_ops);
	struct mmu_notifier_range range = pages(test, 0, 1);
	struct waiter *waiter;

	refuses->refuse = true;
	KUNIT_EXPECT_EQ(test, -EAGAIN,
			mmu_notifier_invalidate_range_start_nonblock(&range));
	KUNIT_EXPECT_EQ(test, interval->called, 1);

	waiter = run(test, read_begin_fn, interval);
	expect_returned(test, waiter);
	kfree(waiter);
	waiter = run(test, remove_fn, interval);
	expect_returned(test, waiter);
	kfree(waiter);

	kfree(interval);
	list_unregister(refuses);
}

static void list_refuses_before_others(struct kunit *test)
{
	struct test_list *last = list_register(test, &list_ops);
	struct test_list *refuses = list_register(test, &refusing_ops);
	struct test_list *first = list_register(test, &list_ops);
	struct mmu_notifier_range range = pages(test, 0, 1);

	refuses->refuse = true;
	KUNIT_EXPECT_EQ(test, -EAGAIN,
			mmu_notifier_invalidate_range_start_nonblock(&range));

	/* All are called, and all that started are ended. */
	KUNIT_EXPECT_LT(test, first->order, refuses->order);
	KUNIT_EXPECT_LT(test, refuses->order, last->order);
	KUNIT_EXPECT_EQ(test, first->started, 1);
	KUNIT_EXPECT_EQ(test, first->ended, 1);
	KUNIT_EXPECT_EQ(test, last->started, 1);
	KUNIT_EXPECT_EQ(test, last->ended, 1);

	list_unregister(first);
	list_unregister(refuses);
	list_unregister(last);
}

static void nobody_refuses(struct kunit *test)
{
	struct test_interval *interval = insert(test, 0, 1, &interval_ops);
	struct test_list *list = list_register(test, &list_ops);
	struct mmu_notifier_range range = pages(test, 0, 1);

	KUNIT_ASSERT_EQ(test, 0,
			mmu_notifier_invalidate_range_start_nonblock(&range));
	KUNIT_EXPECT_EQ(test, interval->called, 1);
	KUNIT_EXPECT_LT(test, interval->order, list->order);
	KUNIT_EXPECT_EQ(test, list->started, 1);
	KUNIT_EXPECT_EQ(test, list->ended, 0);
	mmu_notifier_invalidate_range_end(&range);
	KUNIT_EXPECT_EQ(test, list->ended, 1);

	list_unregister(list);
	remove(interval);
}

static void refusal_of_a_blockable_range_is_warned_of(struct kunit *test)
{
	struct test_interval *refuses = insert(test, 0, 1, &interval_ops);
	struct test_interval *other = insert(test, 1, 2, &interval_ops);
	struct mmu_notifier_range range = pages(test, 0, 2);

	refuses->refuse_always = true;
	kunit_warning_suppress(test) {
		mmu_notifier_invalidate_range_start(&range);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
	}
	KUNIT_EXPECT_EQ(test, other->called, 1);
	mmu_notifier_invalidate_range_end(&range);

	remove(other);
	remove(refuses);
}

static void list_refusal_of_a_blockable_range_is_warned_of(struct kunit *test)
{
	struct test_interval *interval = insert(test, 0, 1, &interval_ops);
	struct test_list *refuses = list_register(test, &refusing_ops);
	struct mmu_notifier_range range = pages(test, 0, 1);
	struct waiter *waiter;

	refuses->refuse_always = true;
	kunit_warning_suppress(test) {
		mmu_notifier_invalidate_range_start(&range);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
	}

	/* The caller is not told, and so it is still under way. */
	waiter = run(test, read_begin_fn, interval);
	KUNIT_EXPECT_TRUE(test, waits(waiter));
	mmu_notifier_invalidate_range_end(&range);
	expect_returned(test, waiter);
	kfree(waiter);

	remove(interval);
	list_unregister(refuses);
}

static void callbacks_are_in_a_section(struct kunit *test)
{
	struct test_interval *interval = insert(test, 0, 1, &interval_ops);
	struct test_interval *two_pass = insert(test, 1, 2, &two_pass_ops);
	struct test_list *list = list_register(test, &list_ops);
	struct mmu_notifier_range range = pages(test, 0, 2);
	int expected = IS_ENABLED(CONFIG_DEBUG_ATOMIC_SLEEP);

	mmu_notifier_invalidate_range_start(&range);
	KUNIT_EXPECT_EQ(test, interval->sections, 0);
	KUNIT_EXPECT_EQ(test, two_pass->sections, 0);
	KUNIT_EXPECT_EQ(test, list->sections, 0);
	mmu_notifier_invalidate_range_end(&range);
	KUNIT_EXPECT_EQ(test, list->sections, 0);

	KUNIT_EXPECT_EQ(test, 0,
			mmu_notifier_invalidate_range_start_nonblock(&range));
	KUNIT_EXPECT_EQ(test, interval->sections, expected);
	KUNIT_EXPECT_EQ(test, two_pass->sections, expected);
	KUNIT_EXPECT_EQ(test, list->sections, expected);
	list->sections = 0;
	mmu_notifier_invalidate_range_end(&range);
	KUNIT_EXPECT_EQ(test, list->sections, expected);

	two_pass->two_passes = true;
	two_pass->sections = 0;
	KUNIT_EXPECT_EQ(test, 0,
			mmu_notifier_invalidate_range_start_nonblock(&range));
	KUNIT_EXPECT_EQ(test, two_pass->finished, 1);
	KUNIT_EXPECT_EQ(test, two_pass->sections, expected);
	mmu_notifier_invalidate_range_end(&range);

	KUNIT_EXPECT_EQ(test, sections(), 0);

	list_unregister(list);
	remove(two_pass);
	remove(interval);
}

static void unwinding_is_in_a_section(struct kunit *test)
{
	struct test_list *list = list_register(test, &list_ops);
	struct test_list *refuses = list_register(test, &refusing_ops);
	struct mmu_notifier_range range = pages(test, 0, 1);
	int expected = IS_ENABLED(CONFIG_DEBUG_ATOMIC_SLEEP);

	refuses->refuse = true;
	KUNIT_EXPECT_EQ(test, -EAGAIN,
			mmu_notifier_invalidate_range_start_nonblock(&range));
	KUNIT_EXPECT_EQ(test, list->ended, 1);
	/* That of the end, which came last. */
	KUNIT_EXPECT_EQ(test, list->sections, expected);
	KUNIT_EXPECT_EQ(test, sections(), 0);

	list_unregister(refuses);
	list_unregister(list);
}

static void two_passes_in_order(struct kunit *test)
{
	struct test_interval *first = insert(test, 0, 1, &two_pass_ops);
	struct test_interval *single = insert(test, 1, 2, &two_pass_ops);
	struct test_interval *last = insert(test, 2, 3, &two_pass_ops);

	first->two_passes = true;
	last->two_passes = true;
	invalidate(test, 0, 3);

	KUNIT_EXPECT_EQ(test, first->order, 1);
	KUNIT_EXPECT_EQ(test, single->order, 2);
	KUNIT_EXPECT_EQ(test, last->order, 3);
	KUNIT_EXPECT_EQ(test, first->finish_order, 4);
	KUNIT_EXPECT_EQ(test, last->finish_order, 5);
	KUNIT_EXPECT_EQ(test, single->finished, 0);

	remove(last);
	remove(single);
	remove(first);
}

static void two_passes_and_a_refusal(struct kunit *test)
{
	struct test_interval *first = insert(test, 0, 1, &two_pass_ops);
	struct test_interval *refuses = insert(test, 1, 2, &two_pass_ops);
	struct mmu_notifier_range range = pages(test, 0, 2);
	struct waiter *waiter;

	first->two_passes = true;
	refuses->two_passes = true;
	refuses->refuse = true;
	KUNIT_EXPECT_EQ(test, -EAGAIN,
			mmu_notifier_invalidate_range_start_nonblock(&range));
	KUNIT_EXPECT_EQ(test, first->finished, 1);
	KUNIT_EXPECT_EQ(test, refuses->finished, 0);

	waiter = run(test, read_begin_fn, first);
	expect_returned(test, waiter);

	kfree(waiter);
	remove(refuses);
	remove(first);
}

static void range_has_no_owner(struct kunit *test)
{
	struct test_context *ctx = test->priv;
	struct mmu_notifier_range range;

	memset(&range, 0xff, sizeof(range));
	mmu_notifier_range_init(&range, MMU_NOTIFY_CLEAR, 0, ctx->mm, 0, 1);
	KUNIT_EXPECT_NULL(test, range.owner);

	mmu_notifier_range_init_owner(&range, MMU_NOTIFY_MIGRATE, 0, ctx->mm, 0,
				      1, ctx);
	KUNIT_EXPECT_PTR_EQ(test, range.owner, ctx);
}

static void release_at_exit(struct kunit *test)
{
	struct test_interval *interval = insert(test, 0, 1, &two_pass_ops);
	struct test_list *list = list_register(test, &list_ops);
	struct test_context *ctx = test->priv;
	struct mm_struct *mm = ctx->mm;
	struct waiter *waiter;

	interval->two_passes = true;
	/* Tests may look at it later. */
	mmgrab(mm);
	mmput(mm);
	ctx->mm = NULL;

	KUNIT_EXPECT_EQ(test, list->released, 1);
	KUNIT_EXPECT_EQ(test, list->started, 0);
	KUNIT_EXPECT_EQ(test, interval->called, 1);
	KUNIT_EXPECT_EQ(test, interval->finished, 1);
	KUNIT_EXPECT_EQ(test, (int)interval->range.event, MMU_NOTIFY_RELEASE);
	KUNIT_EXPECT_EQ(test, interval->range.start, 0);
	KUNIT_EXPECT_EQ(test, interval->range.end, ULONG_MAX);
	KUNIT_EXPECT_TRUE(test, mmu_notifier_range_blockable(&interval->range));

	waiter = run(test, read_begin_fn, interval);
	expect_returned(test, waiter);
	kfree(waiter);

	mmu_notifier_unregister(&list->sub, mm);
	KUNIT_EXPECT_EQ(test, list->released, 1);
	kfree(list);
	remove(interval);
	mmdrop(mm);
}

static void release_at_unregister(struct kunit *test)
{
	struct test_list *list = list_register(test, &list_ops);

	mmu_notifier_unregister(&list->sub, list->ctx->mm);
	KUNIT_EXPECT_EQ(test, list->released, 1);

	invalidate(test, 0, 1);
	KUNIT_EXPECT_EQ(test, list->started, 0);
	kfree(list);
}

static void young_is_any_or_the_first(struct kunit *test)
{
	struct test_list *last = list_register(test, &list_ops);
	struct test_list *first = list_register(test, &list_ops);
	struct test_context *ctx = test->priv;
	struct mm_struct *mm = ctx->mm;

	KUNIT_EXPECT_FALSE(test, mmu_notifier_test_young(mm, 0));
	first->young = true;
	KUNIT_EXPECT_TRUE(test, mmu_notifier_test_young(mm, 0));
	KUNIT_EXPECT_EQ(test, first->asked, 2);
	KUNIT_EXPECT_EQ(test, last->asked, 1);

	/* Who clears has to ask all. */
	KUNIT_EXPECT_TRUE(test, mmu_notifier_clear_young(mm, 0, PAGE_SIZE));
	KUNIT_EXPECT_TRUE(test,
			  mmu_notifier_clear_flush_young(mm, 0, PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, first->asked, 4);
	KUNIT_EXPECT_EQ(test, last->asked, 3);

	list_unregister(first);
	list_unregister(last);
}

static void secondary_tlbs_are_flushed(struct kunit *test)
{
	struct test_list *list = list_register(test, &flush_ops);
	struct mmu_notifier_range range = pages(test, 0, 1);

	mmu_notifier_invalidate_range_start(&range);
	KUNIT_EXPECT_EQ(test, list->flushed, 0);
	mmu_notifier_arch_invalidate_secondary_tlbs(list->ctx->mm, 0,
						    PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, list->flushed, 1);
	mmu_notifier_invalidate_range_end(&range);
	list_unregister(list);
}

static void flush_and_start_exclude_each_other(struct kunit *test)
{
	struct test_list list = { .sub.ops = &flush_and_start_ops };
	struct test_context *ctx = test->priv;

	kunit_warning_suppress(test) {
		KUNIT_EXPECT_EQ(test, -EINVAL,
				mmu_notifier_register(&list.sub, ctx->mm));
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
	}
}

/* A notifier that is shared, and whose free callback takes its time. */
struct test_shared {
	struct mmu_notifier sub;
};

static struct {
	bool freeing;
	bool synchronized;
	int allocated;
	int freed;
	int freed_late;
} shared;

static struct mmu_notifier *shared_alloc(struct mm_struct *mm)
{
	struct test_shared *new = kzalloc_obj(*new);

	if (!new)
		return ERR_PTR(-ENOMEM);
	shared.allocated++;
	return &new->sub;
}

static void shared_free(struct mmu_notifier *sub)
{
	WRITE_ONCE(shared.freeing, true);
	/* Not sleepable. */
	for (int i = 0; i < 500 && !READ_ONCE(shared.synchronized); i++)
		mdelay(1);
	if (READ_ONCE(shared.synchronized))
		shared.freed_late++;
	kfree(container_of(sub, struct test_shared, sub));
	WRITE_ONCE(shared.freed, shared.freed + 1);
}

static const struct mmu_notifier_ops shared_ops = {
	.alloc_notifier = shared_alloc,
	.free_notifier = shared_free,
};

static int shared_put(void *sub)
{
	mmu_notifier_put(sub);
	return 0;
}

static int shared_synchronize(void *unused)
{
	/*
	 * The grace period is not one that a worker of the other CPU has to
	 * end, which it can't while it is in the callback.
	 */
	for (int i = 0; i < 100 && !READ_ONCE(shared.freeing); i++)
		msleep(20);
	mmu_notifier_synchronize();
	WRITE_ONCE(shared.synchronized, true);
	return 0;
}

static void synchronize_waits_for_free(struct kunit *test)
{
	struct test_context *ctx = test->priv;
	struct mmu_notifier *sub, *again;

	memset(&shared, 0, sizeof(shared));
	sub = mmu_notifier_get(&shared_ops, ctx->mm);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, sub);
	again = mmu_notifier_get(&shared_ops, ctx->mm);
	KUNIT_EXPECT_PTR_EQ(test, sub, again);
	KUNIT_EXPECT_EQ(test, shared.allocated, 1);

	mmu_notifier_put(again);
	mmu_notifier_synchronize();
	KUNIT_EXPECT_EQ(test, READ_ONCE(shared.freed), 0);

	/* The callbacks of call_srcu() can have a queue on each CPU. */
	KUNIT_ASSERT_EQ(test, 0, smp_call_on_cpu(cpumask_last(cpu_online_mask),
						 shared_put, sub, false));
	KUNIT_ASSERT_EQ(test, 0, smp_call_on_cpu(cpumask_first(cpu_online_mask),
						 shared_synchronize, NULL,
						 false));
	KUNIT_EXPECT_EQ(test, READ_ONCE(shared.freed), 1);
	/* It must not run after the test. */
	for (int i = 0; i < 100 && !READ_ONCE(shared.freed); i++)
		msleep(20);
	KUNIT_EXPECT_EQ(test, shared.freed_late, 0);
}

static int mmu_notifier_test_init(struct kunit *test)
{
	struct test_context *ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);

	if (!ctx)
		return -ENOMEM;
	ctx->mm = mm_alloc();
	if (!ctx->mm)
		return -ENOMEM;
	test->priv = ctx;
	return 0;
}

static void mmu_notifier_test_exit(struct kunit *test)
{
	struct test_context *ctx = test->priv;

	if (ctx && ctx->mm)
		mmput(ctx->mm);
}

static struct kunit_case mmu_notifier_test_cases[] = {
	KUNIT_CASE(interval_is_half_open),
	KUNIT_CASE(insert_checks_the_range),
	KUNIT_CASE(insert_with_the_mmap_lock),
	KUNIT_CASE(missing_finish_is_warned_of),
	KUNIT_CASE(no_collision_without_invalidation),
	KUNIT_CASE(invalidation_collides),
	KUNIT_CASE(each_invalidation_has_its_seq),
	KUNIT_CASE(read_begin_waits_for_the_end),
	KUNIT_CASE(inserted_while_others_invalidate),
	KUNIT_CASE(insert_is_deferred),
	KUNIT_CASE(deferred_insert_is_removed),
	KUNIT_CASE(remove_waits_for_the_end),
	KUNIT_CASE(interval_refuses),
	KUNIT_CASE(interval_refuses_after_others),
	KUNIT_CASE(list_refuses_after_intervals),
	KUNIT_CASE(list_refuses_before_others),
	KUNIT_CASE(nobody_refuses),
	KUNIT_CASE(refusal_of_a_blockable_range_is_warned_of),
	KUNIT_CASE(list_refusal_of_a_blockable_range_is_warned_of),
	KUNIT_CASE(callbacks_are_in_a_section),
	KUNIT_CASE(unwinding_is_in_a_section),
	KUNIT_CASE(two_passes_in_order),
	KUNIT_CASE(two_passes_and_a_refusal),
	KUNIT_CASE(range_has_no_owner),
	KUNIT_CASE(release_at_exit),
	KUNIT_CASE(release_at_unregister),
	KUNIT_CASE(young_is_any_or_the_first),
	KUNIT_CASE(secondary_tlbs_are_flushed),
	KUNIT_CASE(flush_and_start_exclude_each_other),
	KUNIT_CASE(synchronize_waits_for_free),
	{}
};

static struct kunit_suite mmu_notifier_test_suite = {
	.name = "mmu_notifier",
	.init = mmu_notifier_test_init,
	.exit = mmu_notifier_test_exit,
	.test_cases = mmu_notifier_test_cases,
};

kunit_test_suite(mmu_notifier_test_suite);

MODULE_DESCRIPTION("Tests for MMU notifiers");
MODULE_LICENSE("GPL");
