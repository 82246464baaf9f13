// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for mm/mmu_notifier_debug.c: invalidations that are tried first
 */
#include <kunit/test.h>
#include <linux/mmu_notifier.h>
#include <linux/sched/mm.h>

MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");

/* The calls of a callback, with and without MMU_NOTIFIER_RANGE_BLOCKABLE. */
struct calls {
	int may_block;
	int must_not_block;
	int sections;		/* non-blocking ones, in the calls that may not */
};

struct context {
	struct mm_struct *mm;
	unsigned int try_first;
	bool ready;
	bool exited;

	struct mmu_interval_notifier interval;
	struct calls intervals;
	bool interval_refuses;

	struct mmu_interval_notifier two_pass;
	struct mmu_interval_notifier_finish finish;
	struct calls starts;
	int finished;

	struct mmu_notifier list;
	struct calls lists;
	struct calls ends;

	struct mmu_notifier refuser;
	struct calls refusals;
	bool list_refuses;
};

static void count(struct calls *calls, const struct mmu_notifier_range *range)
{
	if (mmu_notifier_range_blockable(range)) {
		calls->may_block++;
		return;
	}
	calls->must_not_block++;
#ifdef CONFIG_DEBUG_ATOMIC_SLEEP
	calls->sections += current->non_block_count;
#else
	calls->sections++;
#endif
}

static bool refuses(bool refuse, const struct mmu_notifier_range *range)
{
	return refuse && !mmu_notifier_range_blockable(range);
}

static bool interval_invalidate(struct mmu_interval_notifier *sub,
				const struct mmu_notifier_range *range,
				unsigned long cur_seq)
{
	struct context *ctx = container_of(sub, struct context, interval);

	count(&ctx->intervals, range);
	if (refuses(ctx->interval_refuses, range))
		return false;
	mmu_interval_set_seq(sub, cur_seq);
	return true;
}

static const struct mmu_interval_notifier_ops interval_ops = {
	.invalidate = interval_invalidate,
};

static bool two_pass_start(struct mmu_interval_notifier *sub,
			   const struct mmu_notifier_range *range,
			   unsigned long cur_seq,
			   struct mmu_interval_notifier_finish **finish)
{
	struct context *ctx = container_of(sub, struct context, two_pass);

	count(&ctx->starts, range);
	mmu_interval_set_seq(sub, cur_seq);
	*finish = &ctx->finish;
	return true;
}

static void two_pass_finish(struct mmu_interval_notifier_finish *finish)
{
	container_of(finish, struct context, finish)->finished++;
}

static const struct mmu_interval_notifier_ops two_pass_ops = {
	.invalidate_start = two_pass_start,
	.invalidate_finish = two_pass_finish,
};

static int list_start(struct mmu_notifier *sub,
		      const struct mmu_notifier_range *range)
{
	count(&container_of(sub, struct context, list)->lists, range);
	return 0;
}

static void list_end(struct mmu_notifier *sub,
		     const struct mmu_notifier_range *range)
{
	count(&container_of(sub, struct context, list)->ends, range);
}

static const struct mmu_notifier_ops list_ops = {
	.invalidate_range_start = list_start,
	.invalidate_range_end = list_end,
};

/* A notifier that refuses cannot have an end. */
static int refuser_start(struct mmu_notifier *sub,
			 const struct mmu_notifier_range *range)
{
	struct context *ctx = container_of(sub, struct context, refuser);

	count(&ctx->refusals, range);
	return refuses(ctx->list_refuses, range) ? -EAGAIN : 0;
}

static const struct mmu_notifier_ops refuser_ops = {
	.invalidate_range_start = refuser_start,
};

static void invalidate(struct context *ctx)
{
	struct mmu_notifier_range range;

	mmu_notifier_range_init(&range, MMU_NOTIFY_CLEAR, 0, ctx->mm, 0,
				PAGE_SIZE);
	mmu_notifier_invalidate_range_start(&range);
	mmu_notifier_invalidate_range_end(&range);
}

static void expect_calls(struct kunit *test, struct calls *calls,
			 int must_not_block, int may_block)
{
	KUNIT_EXPECT_EQ(test, calls->must_not_block, must_not_block);
	KUNIT_EXPECT_EQ(test, calls->sections, must_not_block);
	KUNIT_EXPECT_EQ(test, calls->may_block, may_block);
}

/* Check the number of calls of each callback. */
static void expect_all(struct kunit *test, int must_not_block, int may_block)
{
	struct context *ctx = test->priv;

	expect_calls(test, &ctx->intervals, must_not_block, may_block);
	expect_calls(test, &ctx->starts, must_not_block, may_block);
	KUNIT_EXPECT_EQ(test, ctx->finished, must_not_block + may_block);
	expect_calls(test, &ctx->lists, must_not_block, may_block);
	expect_calls(test, &ctx->ends, must_not_block, may_block);
	expect_calls(test, &ctx->refusals, must_not_block, may_block);
}

static void yes_is_taken_at_its_word(struct kunit *test)
{
	invalidate(test->priv);
	expect_all(test, 1, 0);
}

static void all_are_called_again_after_a_refusal(struct kunit *test)
{
	struct context *ctx = test->priv;

	ctx->interval_refuses = true;
	invalidate(ctx);
	/* The refused invalidation is ended, too. */
	expect_all(test, 1, 1);
}

static void list_refusal_is_undone(struct kunit *test)
{
	struct context *ctx = test->priv;
	unsigned long seq;

	ctx->list_refuses = true;
	invalidate(ctx);
	expect_all(test, 1, 1);
	/* It waits forever if the first walk was not ended. */
	seq = mmu_interval_read_begin(&ctx->interval);
	KUNIT_EXPECT_FALSE(test, mmu_interval_read_retry(&ctx->interval, seq));
}

static void nonblocking_is_not_tried_twice(struct kunit *test)
{
	struct context *ctx = test->priv;
	struct mmu_notifier_range range;
	int err;

	ctx->list_refuses = true;
	mmu_notifier_range_init(&range, MMU_NOTIFY_CLEAR, 0, ctx->mm, 0,
				PAGE_SIZE);

	err = mmu_notifier_invalidate_range_start_nonblock(&range);
	/* Otherwise the notifiers could not be removed. */
	if (!err)
		mmu_notifier_invalidate_range_end(&range);

	KUNIT_EXPECT_EQ(test, err, -EAGAIN);
	expect_calls(test, &ctx->intervals, 1, 0);
	expect_calls(test, &ctx->refusals, 1, 0);
}

static void release_is_not_tried(struct kunit *test)
{
	struct context *ctx = test->priv;

	mmgrab(ctx->mm);
	mmput(ctx->mm);
	ctx->exited = true;

	expect_calls(test, &ctx->intervals, 0, 1);
	expect_calls(test, &ctx->starts, 0, 1);
}

static void one_in_three_is_tried(struct kunit *test)
{
	struct context *ctx = test->priv;

	WRITE_ONCE(mmu_notifier_try_first, 3);
	for (int i = 0; i < 9; i++)
		invalidate(ctx);
	expect_calls(test, &ctx->intervals, 3, 6);

	WRITE_ONCE(mmu_notifier_try_first, 0);
	invalidate(ctx);
	expect_calls(test, &ctx->intervals, 3, 7);
}

static int test_init(struct kunit *test)
{
	struct context *ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, ctx);
	ctx->mm = mm_alloc();
	KUNIT_ASSERT_NOT_NULL(test, ctx->mm);
	test->priv = ctx;

	ctx->list.ops = &list_ops;
	ctx->refuser.ops = &refuser_ops;
	KUNIT_ASSERT_EQ(test, 0,
			mmu_interval_notifier_insert(&ctx->interval, ctx->mm, 0,
						     PAGE_SIZE, &interval_ops));
	KUNIT_ASSERT_EQ(test, 0,
			mmu_interval_notifier_insert(&ctx->two_pass, ctx->mm, 0,
						     PAGE_SIZE, &two_pass_ops));
	KUNIT_ASSERT_EQ(test, 0, mmu_notifier_register(&ctx->list, ctx->mm));
	KUNIT_ASSERT_EQ(test, 0, mmu_notifier_register(&ctx->refuser, ctx->mm));
	ctx->try_first = READ_ONCE(mmu_notifier_try_first);
	WRITE_ONCE(mmu_notifier_try_first, 1);
	ctx->ready = true;
	return 0;
}

static void test_exit(struct kunit *test)
{
	struct context *ctx = test->priv;

	if (!ctx || !ctx->ready)
		return;

	mmu_notifier_unregister(&ctx->refuser, ctx->mm);
	mmu_notifier_unregister(&ctx->list, ctx->mm);
	mmu_interval_notifier_remove(&ctx->two_pass);
	mmu_interval_notifier_remove(&ctx->interval);
	WRITE_ONCE(mmu_notifier_try_first, ctx->try_first);
	if (ctx->exited)
		mmdrop(ctx->mm);
	else
		mmput(ctx->mm);
}

static struct kunit_case mmu_notifier_debug_test_cases[] = {
	KUNIT_CASE(yes_is_taken_at_its_word),
	KUNIT_CASE(all_are_called_again_after_a_refusal),
	KUNIT_CASE(list_refusal_is_undone),
	KUNIT_CASE(nonblocking_is_not_tried_twice),
	KUNIT_CASE(release_is_not_tried),
	KUNIT_CASE(one_in_three_is_tried),
	{}
};

static struct kunit_suite mmu_notifier_debug_test_suite = {
	.name = "mmu_notifier_debug",
	.init = test_init,
	.exit = test_exit,
	.test_cases = mmu_notifier_debug_test_cases,
};

kunit_test_suite(mmu_notifier_debug_test_suite);

MODULE_DESCRIPTION("Tests for debugging MMU notifiers");
MODULE_LICENSE("GPL");
