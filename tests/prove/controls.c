// SPDX-License-Identifier: GPL-2.0
/*
 * Callbacks with a known verdict: those named n_* must be PROVED, those named p_* must alarm, and those named u_* must be
 * UNPROVEN. Without the rule that stands after n_ in its name (values, objects, fields or kcfi) such a callback must alarm:
 * so each of them shows that the rule is needed, and that the control can fail.
 */
#include "kernel.h"

struct ops { void (*first)(void *p); int (*second)(int x); };
struct slow_ops { int x; void (*run)(void *p); };
struct parameters { unsigned long address; bool (*handler)(struct parameters *p); bool may_block; };
struct driver {
	struct mmu_interval_notifier notifier;
	int lock;
	struct ops *ops;
	const struct slow_ops *slow;
	struct driver *next;
	bool block;
	void *p;
};

static struct driver *driver(struct mmu_interval_notifier *mni)
{
	return container_of(mni, struct driver, notifier);
}

static void fast(void *p) { *(int *)p = 1; }
static void slow(void *p) { mutex_lock(p); }
static int twice(int x) { return 2 * x; }
/* Each of these is stored in a way that makes it a target of more than one call. */
static void slow_in_union(void *p, long x) { mutex_lock(p); }
static void slow_by_address(void *p) { mutex_lock(p); }

/* Locks, and the flag. */
static bool p_lock(ARGS)
{
	mutex_lock(&driver(mni)->lock);
	return 1;
}
OPS(p_lock)

static bool p_two_calls(ARGS)
{
	fast(mni);
	slow(mni);
	return 1;
}
OPS(p_two_calls)

static bool n_plain_trylock(ARGS)
{
	if (!mutex_trylock(&driver(mni)->lock))
		return 0;
	return 1;
}
OPS(n_plain_trylock)

static bool n_values_flag(ARGS)
{
	if (mmu_notifier_range_blockable(range))
		mutex_lock(&driver(mni)->lock);
	else if (!mutex_trylock(&driver(mni)->lock))
		return 0;
	return 1;
}
OPS(n_values_flag)

static bool p_flag_inverted(ARGS)
{
	if (!mmu_notifier_range_blockable(range))
		mutex_lock(&driver(mni)->lock);
	return 1;
}
OPS(p_flag_inverted)

static bool p_other_flag(ARGS)
{
	if (range->flags & 2)
		mutex_lock(&driver(mni)->lock);
	return 1;
}
OPS(p_other_flag)

static bool n_values_early_return(ARGS)
{
	if (!mmu_notifier_range_blockable(range))
		return 0;
	mutex_lock(&driver(mni)->lock);
	return 1;
}
OPS(n_values_early_return)

static bool p_early_return_of_another(ARGS)
{
	if (!mmu_notifier_range_blockable((void *)seq))
		return 0;
	mutex_lock(&driver(mni)->lock);
	return 1;
}
OPS(p_early_return_of_another)

static noinline void inner(struct driver *d, bool may_block)
{
	if (may_block)
		mutex_lock(&d->lock);
}

static bool n_values_flag_passed(ARGS)
{
	inner(driver(mni), mmu_notifier_range_blockable(range));
	return 1;
}
OPS(n_values_flag_passed)

static bool p_flag_passed_inverted(ARGS)
{
	inner(driver(mni), !mmu_notifier_range_blockable(range));
	return 1;
}
OPS(p_flag_passed_inverted)

static noinline int may_wait(const struct mmu_notifier_range *range)
{
	return mmu_notifier_range_blockable(range) ? 5 : 0;
}

static bool n_values_flag_returned(ARGS)
{
	if (may_wait(range))
		mutex_lock(&driver(mni)->lock);
	return 1;
}
OPS(n_values_flag_returned)

static bool p_flag_in_driver(ARGS)
{
	if (driver(mni)->block)
		mutex_lock(&driver(mni)->lock);
	return 1;
}
OPS(p_flag_in_driver)

static bool n_values_switch(ARGS)
{
	switch (mmu_notifier_range_blockable(range)) {
	case 1:
		mutex_lock(&driver(mni)->lock);
		break;
	default:
		fast(mni);
	}
	return 1;
}
OPS(n_values_switch)

static bool p_switch(ARGS)
{
	switch (range->event) {
	case MMU_NOTIFY_UNMAP:
		break;
	case MMU_NOTIFY_CLEAR:
		mutex_lock(&driver(mni)->lock);
	}
	return 1;
}
OPS(p_switch)

static bool p_loop(ARGS)
{
	for (struct driver *d = driver(mni); d; d = d->next)
		mutex_lock(&d->lock);
	return 1;
}
OPS(p_loop)

static noinline void down(void *p, int depth)
{
	if (depth)
		down(p, depth - 1);
	else
		mutex_lock(p);
}

static bool p_recursion(ARGS)
{
	down(mni, 3);
	return 1;
}
OPS(p_recursion)

/* More sets of arguments than a function is looked at with. */
static noinline void if_last(void *p, int x)
{
	if (x == 229)
		mutex_lock(p);
}

#define TEN(f, p, x) f(p, x); f(p, x + 1); f(p, x + 2); f(p, x + 3); f(p, x + 4); f(p, x + 5); f(p, x + 6); \
	f(p, x + 7); f(p, x + 8); f(p, x + 9)
#define HUNDRED(f, p, x) TEN(f, p, x); TEN(f, p, x + 10); TEN(f, p, x + 20); TEN(f, p, x + 30); TEN(f, p, x + 40); \
	TEN(f, p, x + 50); TEN(f, p, x + 60); TEN(f, p, x + 70); TEN(f, p, x + 80); TEN(f, p, x + 90)

static bool p_many_arguments(ARGS)
{
	HUNDRED(if_last, mni, 0);
	HUNDRED(if_last, mni, 100);
	TEN(if_last, mni, 200);
	TEN(if_last, mni, 210);
	TEN(if_last, mni, 220);
	return 1;
}
OPS(p_many_arguments)

static bool p_wait(ARGS)
{
	wait_event(NULL, *(volatile int *)mni);
	return 1;
}
OPS(p_wait)

static bool p_sleep(ARGS)
{
	msleep(1);
	return 1;
}
OPS(p_sleep)

static bool n_values_no_timeout(ARGS)
{
	schedule_timeout(0);
	return 1;
}
OPS(n_values_no_timeout)

static bool p_timeout(ARGS)
{
	schedule_timeout(seq);
	return 1;
}
OPS(p_timeout)

/* Allocations: the flags go through every level. */
static noinline void *middle(gfp_t gfp)
{
	return kmalloc(64, gfp | __GFP_ZERO);
}

static bool n_values_nowait(ARGS)
{
	driver(mni)->p = middle(GFP_NOWAIT);
	return 1;
}
OPS(n_values_nowait)

static bool n_values_atomic(ARGS)
{
	driver(mni)->p = middle(GFP_ATOMIC);
	return 1;
}
OPS(n_values_atomic)

static bool p_kernel(ARGS)
{
	driver(mni)->p = middle(GFP_KERNEL);
	return 1;
}
OPS(p_kernel)

static bool p_gfp_or(ARGS)
{
	driver(mni)->p = middle(GFP_NOWAIT | (seq ? __GFP_DIRECT_RECLAIM : 0));
	return 1;
}
OPS(p_gfp_or)

static bool n_values_gfp_masked(ARGS)
{
	driver(mni)->p = middle(GFP_KERNEL & ~__GFP_DIRECT_RECLAIM);
	return 1;
}
OPS(n_values_gfp_masked)

static bool n_values_gfp_masked_late(ARGS)
{
	driver(mni)->p = middle((gfp_t)seq & ~__GFP_DIRECT_RECLAIM);
	return 1;
}
OPS(n_values_gfp_masked_late)

static bool p_gfp_unknown(ARGS)
{
	driver(mni)->p = middle((gfp_t)seq);
	return 1;
}
OPS(p_gfp_unknown)

static bool n_values_gfp_by_flag(ARGS)
{
	driver(mni)->p = middle(mmu_notifier_range_blockable(range) ? GFP_KERNEL : GFP_NOWAIT);
	return 1;
}
OPS(n_values_gfp_by_flag)

/* In a scope that must not reclaim, no allocation waits. Everything else does. */
static bool n_values_noreclaim(ARGS)
{
	unsigned int flags = memalloc_noreclaim_save();

	middle(GFP_KERNEL);
	memalloc_noreclaim_restore(flags);
	return 1;
}
OPS(n_values_noreclaim)

static bool p_noreclaim_ended(ARGS)
{
	memalloc_noreclaim_restore(memalloc_noreclaim_save());
	middle(GFP_KERNEL);
	return 1;
}
OPS(p_noreclaim_ended)

static bool p_noreclaim_cleared(ARGS)
{
	memalloc_noreclaim_save();
	current->flags &= ~PF_MEMALLOC;
	middle(GFP_KERNEL);
	return 1;
}
OPS(p_noreclaim_cleared)

static bool n_values_noreclaim_other_flag(ARGS)
{
	memalloc_noreclaim_save();
	current->flags &= ~PF_MEMALLOC_NOFS;
	middle(GFP_KERNEL);
	return 1;
}
OPS(n_values_noreclaim_other_flag)

static bool p_noreclaim_lock(ARGS)
{
	memalloc_noreclaim_save();
	mutex_lock(&driver(mni)->lock);
	return 1;
}
OPS(p_noreclaim_lock)

static bool p_nofs(ARGS)
{
	memalloc_flags_save(PF_MEMALLOC_NOFS);
	middle(GFP_KERNEL);
	return 1;
}
OPS(p_nofs)

static bool p_noreclaim_on_one_path(ARGS)
{
	if (seq)
		memalloc_noreclaim_save();
	middle(GFP_KERNEL);
	return 1;
}
OPS(p_noreclaim_on_one_path)

static bool p_noreclaim_in_loop(ARGS)
{
	unsigned int flags = memalloc_noreclaim_save();

	while (seq--) {
		middle(GFP_KERNEL);
		memalloc_noreclaim_restore(flags);
	}
	return 1;
}
OPS(p_noreclaim_in_loop)

static bool n_values_noreclaim_nested(ARGS)
{
	unsigned int flags = memalloc_noreclaim_save();

	memalloc_noreclaim_restore(memalloc_noreclaim_save());
	scope_ends(scope_begins(GFP_NOWAIT));
	scope_ends(scope_begins(GFP_KERNEL));
	middle(GFP_KERNEL);
	memalloc_noreclaim_restore(flags);
	return 1;
}
OPS(n_values_noreclaim_nested)

static bool n_values_noreclaim_by_gfp(ARGS)
{
	unsigned int flags = scope_begins(GFP_NOWAIT);

	middle(GFP_KERNEL);
	scope_ends(flags);
	return 1;
}
OPS(n_values_noreclaim_by_gfp)

static bool p_noreclaim_by_gfp(ARGS)
{
	unsigned int flags = scope_begins((gfp_t)seq);

	middle(GFP_KERNEL);
	scope_ends(flags);
	return 1;
}
OPS(p_noreclaim_by_gfp)

static bool p_noreclaim_ended_there(ARGS)
{
	scope_ends(scope_begins(GFP_NOWAIT));
	middle(GFP_KERNEL);
	return 1;
}
OPS(p_noreclaim_ended_there)

static bool p_noreclaim_of_another_task(ARGS)
{
	((struct task_struct *)driver(mni)->p)->flags |= PF_MEMALLOC;
	middle(GFP_KERNEL);
	return 1;
}
OPS(p_noreclaim_of_another_task)

static bool p_noreclaim_flags_of_another_task(ARGS)
{
	memalloc_noreclaim_save();
	if (!(((struct task_struct *)driver(mni)->p)->flags & PF_MEMALLOC))
		mutex_lock(mni);
	return 1;
}
OPS(p_noreclaim_flags_of_another_task)

static bool p_noreclaim_perhaps_of_this_task(ARGS)
{
	memalloc_noreclaim_save();
	((struct task_struct *)driver(mni)->p)->flags = 0;
	middle(GFP_KERNEL);
	return 1;
}
OPS(p_noreclaim_perhaps_of_this_task)

static noinline void ends_scope(void *p) { current->flags = 0; }
static noinline void calls_end(void *p, char c) { ends_scope(p); }
static void ends_scope_of(void *p, char c) { current->flags = 0; }
struct ending { long a; void (*run)(void *p, char c); } ending = { .run = ends_scope_of };

static bool p_noreclaim_ended_by_callee(ARGS)
{
	memalloc_noreclaim_save();
	calls_end(mni, 1);
	middle(GFP_KERNEL);
	return 1;
}
OPS(p_noreclaim_ended_by_callee)

static bool p_noreclaim_ended_by_pointer(ARGS)
{
	memalloc_noreclaim_save();
	((struct ending *)driver(mni)->p)->run(mni, 1);
	middle(GFP_KERNEL);
	return 1;
}
OPS(p_noreclaim_ended_by_pointer)

static bool p_noreclaim_ended_by_assembly(ARGS)
{
	memalloc_noreclaim_save();
	asm volatile("call %c0" : : "i"(ends_scope));
	middle(GFP_KERNEL);
	return 1;
}
OPS(p_noreclaim_ended_by_assembly)

/* Function pointers. */
struct ops ops = { .first = fast, .second = twice };
const struct slow_ops slow_ops = { 1, slow };

static bool n_fields_ops(ARGS)
{
	driver(mni)->ops->first(mni);
	return 1;
}
OPS(n_fields_ops)

static bool p_ops(ARGS)
{
	driver(mni)->slow->run(mni);
	return 1;
}
OPS(p_ops)

struct stored { long a; void (*run)(void *p); };
void store(struct stored *s) { s->run = slow; }

static bool p_ops_stored(ARGS)
{
	driver(mni)->next->ops = &ops;
	((struct stored *)driver(mni)->p)->run(mni);
	return 1;
}
OPS(p_ops_stored)

struct stored_fast { long a; void (*run)(void *p); };
void store_fast(struct stored_fast *s) { s->run = fast; }

static bool n_fields_stored(ARGS)
{
	((struct stored_fast *)driver(mni)->p)->run(mni);
	return 1;
}
OPS(n_fields_stored)

struct copied { long a; void (*run)(void *p); };
void copy(struct copied *c, struct stored *s) { c->run = s->run; }

static bool p_copied(ARGS)
{
	((struct copied *)driver(mni)->p)->run(mni);
	return 1;
}
OPS(p_copied)

struct by_parameter { long a; void (*run)(void *p); };
static noinline void set(struct by_parameter *b, void (*run)(void *p)) { b->run = run; }
void sets(struct by_parameter *b) { set(b, slow); }

static bool p_stored_by_parameter(ARGS)
{
	((struct by_parameter *)driver(mni)->p)->run(mni);
	return 1;
}
OPS(p_stored_by_parameter)

struct by_parameter2 { long a; void (*run)(void *p); };
static noinline void set2(struct by_parameter2 *b, void (*run)(void *p)) { b->run = run; }
void sets2(struct by_parameter2 *b) { set2(b, fast); }

static bool n_fields_stored_by_parameter(ARGS)
{
	((struct by_parameter2 *)driver(mni)->p)->run(mni);
	return 1;
}
OPS(n_fields_stored_by_parameter)

struct by_address { long a; void (*run)(void *p); };
static noinline void write(void (**to)(void *p), void (*run)(void *p)) { *to = run; }
void writes(struct by_address *b) { write(&b->run, slow_by_address); }

static bool p_stored_by_address(ARGS)
{
	((struct by_address *)driver(mni)->p)->run(mni);
	return 1;
}
OPS(p_stored_by_address)

struct returned { long a; void (*run)(void *p); };
static noinline void *pick(void) { return slow; }
void picks(struct returned *r) { r->run = pick(); }

static bool p_returned(ARGS)
{
	((struct returned *)driver(mni)->p)->run(mni);
	return 1;
}
OPS(p_returned)

static void (*const table[])(void *p) = { fast, slow };

static bool p_in_array(ARGS)
{
	table[seq & 1](mni);
	return 1;
}
OPS(p_in_array)

static void (*const fast_table[])(void *p) = { fast, fast };

static bool n_fields_in_array(ARGS)
{
	fast_table[seq & 1](mni);
	return 1;
}
OPS(n_fields_in_array)

struct with_union { union { char x; struct { void (*other)(void *p, long x); char big[40]; }; }; void (*run)(void *p, long x); };
struct with_union with_union = { .x = 5, .run = slow_in_union };

static bool p_in_union(ARGS)
{
	((struct with_union *)driver(mni)->p)->run(mni, 1);
	return 1;
}
OPS(p_in_union)

struct anonymous { int a; struct { int b; void (*run)(void *p); }; };
void anonymous(struct anonymous *a) { a->run = slow; }

static bool p_in_anonymous_struct(ARGS)
{
	((struct anonymous *)driver(mni)->p)->run(mni);
	return 1;
}
OPS(p_in_anonymous_struct)

struct typed { long a; int (*run)(int x); };
void *untyped_sink;
void typed(struct typed *t) { t->run = twice; *(void **)&t->run = untyped_sink; untyped_sink = slow; }

static bool n_kcfi_other_type(ARGS)
{
	(void)((struct typed *)driver(mni)->p)->run(3);
	return 1;
}
OPS(n_kcfi_other_type)

static noinline void apply(void (*f)(void *p), void *p)
{
	f(p);
}

static bool n_values_passed(ARGS)
{
	apply(fast, mni);
	return 1;
}
OPS(n_values_passed)

static bool p_passed(ARGS)
{
	apply(slow, mni);
	return 1;
}
OPS(p_passed)

struct later { long a; void (*run)(void *p); };

static bool n_plain_asynchronous(ARGS)
{
	((struct later *)driver(mni)->p)->run = slow;
	return 1;
}
OPS(n_plain_asynchronous)

static bool p_two_fields(ARGS)
{
	if (seq & 1)
		driver(mni)->ops->first(mni);
	else
		driver(mni)->slow->run(mni);
	return 1;
}
OPS(p_two_fields)

/* Structs on the stack. */
static bool handler(struct parameters *p)
{
	if (p->may_block)
		mutex_lock(p);
	return 0;
}

static noinline bool handle(struct parameters *p)
{
	struct parameters copy = { .address = p->address, .may_block = p->may_block };

	return p->handler(&copy);
}

static bool n_objects_flag(ARGS)
{
	struct parameters p = {
		.address = seq, .handler = handler, .may_block = mmu_notifier_range_blockable(range),
	};
	
	handle(&p);
	return 1;
}
OPS(n_objects_flag)

static bool p_object_flag(ARGS)
{
	struct parameters p = { .address = seq, .handler = handler, .may_block = 1 };
	
	handle(&p);
	return 1;
}
OPS(p_object_flag)

static bool handler2(struct parameters *p)
{
	if (p->may_block)
		mutex_lock(p);
	return 0;
}

static noinline bool handle2(struct parameters *p) { return p->handler(p); }
static noinline void scribble(struct parameters *p) { p->may_block = *(volatile char *)&p->address & 1; }

static bool p_object_written(ARGS)
{
	struct parameters p = { .address = seq, .handler = handler2, .may_block = 0 };
	
	scribble(&p);
	if (handle2(&p))
		return 0;
	return 1;
}
OPS(p_object_written)

static struct parameters *volatile kept;
noinline void keeper(void) { kept->may_block = 1; }

static bool p_object_kept(ARGS)
{
	struct parameters p = { .address = seq, .handler = handler, .may_block = 0 };
	
	kept = &p;
	keeper();
	handler(&p);
	return 1;
}
OPS(p_object_kept)

/* Links, and what cannot be followed. */
static bool n_plain_weak(ARGS)
{
	weak_one(mni);
	return 1;
}
OPS(n_plain_weak)

static noinline void same_name(void *p) { *(int *)p = 2; }

static bool n_plain_same_name(ARGS)
{
	same_name(mni);
	return 1;
}
OPS(n_plain_same_name)

static bool u_no_body(ARGS)
{
	nowhere();
	return 1;
}
OPS(u_no_body)

struct empty { void (*run)(void *p, int a, int b); };

static bool u_no_target(ARGS)
{
	((struct empty *)driver(mni)->p)->run(mni, 1, 2);
	return 1;
}
OPS(u_no_target)

static bool u_assembly(ARGS)
{
	asm volatile("call *%0" : : "r"(seq));
	return 1;
}
OPS(u_assembly)

static bool p_assembly(ARGS)
{
	asm volatile("call %c0" : : "i"(slow));
	return 1;
}
OPS(p_assembly)

static bool p_assembly_by_name(ARGS)
{
	asm volatile("call mutex_lock");
	return 1;
}
OPS(p_assembly_by_name)

static bool n_plain_assembly(ARGS)
{
	asm volatile("lock; incl %0" : "+m"(*(int *)mni));
	return 1;
}
OPS(n_plain_assembly)

static bool p_asm_goto(ARGS)
{
	asm goto("jmp %l0" : : : : out);
	return 0;
out:
	mutex_lock(mni);
	return 1;
}
OPS(p_asm_goto)

static bool n_plain_null(ARGS)
{
	void (*f)(void *p) = NULL;
	
	if (seq == 3)
		f = fast;
	if (f)
		f(mni);
	return 1;
}
OPS(n_plain_null)

/* Callbacks of list notifiers, and the second pass. */
static int n_values_list_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	if (mmu_notifier_range_blockable(range))
		mutex_lock(mn);
	return 0;
}

static void p_list_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	mutex_lock(mn);
}

static int p_list_young(struct mmu_notifier *mn, void *mm, unsigned long start, unsigned long end)
{
	msleep(1);
	return 0;
}

/* May sleep: it is no callback that a non-blocking section calls. */
static void release(struct mmu_notifier *mn, void *mm)
{
	mutex_lock(mn);
}

const struct mmu_notifier_ops list_ops = {
	.release = release,
	.clear_young = p_list_young,
	.invalidate_range_start = n_values_list_start,
	.invalidate_range_end = p_list_end,
};

static bool p_first_pass(struct mmu_interval_notifier *mni, const struct mmu_notifier_range *range, unsigned long seq,
			 void **finish)
{
	mutex_lock(mni);
	return 1;
}

/* Runs in a section only if the first pass there wanted it: the caller of callbacks is not blamed. */
static void finish_pass(void *finish)
{
	mutex_lock(finish);
}

const struct mmu_interval_notifier_ops two_pass_ops = {
	.invalidate_start = p_first_pass,
	.invalidate_finish = finish_pass,
};

/* Sections: what is between the begin and the end of one, and no more. */
int n_plain_section(void *p, int x)
{
	mutex_lock(p);
	non_block_start();
	x = mutex_trylock(p);
	non_block_end();
	if (x)
		mutex_lock(p);
	return x;
}

void p_section(void *p)
{
	non_block_start();
	mutex_lock(p);
	non_block_end();
}

void n_values_section_nowait(void)
{
	non_block_start();
	middle(GFP_NOWAIT);
	non_block_end();
	middle(GFP_KERNEL);
}

void p_section_on_one_path(void *p, int x)
{
	if (x) {
		non_block_start();
		if (x == 2) {
			mutex_lock(p);
			non_block_end();
			return;
		}
		non_block_end();
	}
}

void p_section_nested(void *p)
{
	non_block_start();
	non_block_start();
	non_block_end();
	mutex_lock(p);
	non_block_end();
}

void n_plain_section_nested(void *p)
{
	non_block_start();
	non_block_start();
	non_block_end();
	non_block_end();
	mutex_lock(p);
}

void p_section_in_loop(void *p, int x)
{
	while (x--) {
		mutex_lock(p);
		non_block_start();
		middle(x ? GFP_NOWAIT : GFP_KERNEL);
		non_block_end();
	}
}

void p_section_across(void *p)
{
	section_begins();
	mutex_lock(p);
	section_ends();
}

void n_plain_section_across(void *p)
{
	mutex_lock(p);
	section_begins();
	fast(p);
	section_ends();
	mutex_lock(p);
}

/* The lock is taken by a callback of another type: it is not among those that are judged by themselves. */
void p_section_calls_field(struct driver *d)
{
	non_block_start();
	d->slow->run(d);
	non_block_end();
}

/* The second call of itself is in the section, from the first line on. */
void p_section_recursive(void *p, int depth)
{
	mutex_lock(p);
	non_block_start();
	if (depth)
		p_section_recursive(p, depth - 1);
	non_block_end();
}

/* Only the flags of a range have a bit that is not set. */
void p_section_other_field(struct driver *d)
{
	non_block_start();
	if (d->lock & 1)
		mutex_lock(d);
	non_block_end();
}

/* Only the range of the section itself must not block. */
void p_section_of_another_range(void *p, const struct mmu_notifier_range *range)
{
	non_block_start();
	inner(p, may_wait(range));
	non_block_end();
}

void u_section_open(int x)
{
	if (x)
		non_block_start();
}

void u_section_open_in_loop(int x)
{
	while (x--)
		non_block_start();
}

static noinline void u_section_by_address(void)
{
	non_block_start();
}
void (*section_by_address)(void) = u_section_by_address;

void u_section_set(int x)
{
	current->non_block_count = x;
}
