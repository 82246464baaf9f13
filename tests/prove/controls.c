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
CONTROL(p_lock)
{
	mutex_lock(&driver(mni)->lock);
	return 1;
}

CONTROL(p_two_calls)
{
	fast(mni);
	slow(mni);
	return 1;
}

CONTROL(n_plain_trylock)
{
	if (!mutex_trylock(&driver(mni)->lock))
		return 0;
	return 1;
}

CONTROL(n_values_flag)
{
	if (mmu_notifier_range_blockable(range))
		mutex_lock(&driver(mni)->lock);
	else if (!mutex_trylock(&driver(mni)->lock))
		return 0;
	return 1;
}

CONTROL(p_flag_inverted)
{
	if (!mmu_notifier_range_blockable(range))
		mutex_lock(&driver(mni)->lock);
	return 1;
}

CONTROL(p_other_flag)
{
	if (range->flags & 2)
		mutex_lock(&driver(mni)->lock);
	return 1;
}

CONTROL(n_values_early_return)
{
	if (!mmu_notifier_range_blockable(range))
		return 0;
	mutex_lock(&driver(mni)->lock);
	return 1;
}

CONTROL(p_early_return_of_another)
{
	if (!mmu_notifier_range_blockable((void *)seq))
		return 0;
	mutex_lock(&driver(mni)->lock);
	return 1;
}

static noinline void inner(struct driver *d, bool may_block)
{
	if (may_block)
		mutex_lock(&d->lock);
}

CONTROL(n_values_flag_passed)
{
	inner(driver(mni), mmu_notifier_range_blockable(range));
	return 1;
}

CONTROL(p_flag_passed_inverted)
{
	inner(driver(mni), !mmu_notifier_range_blockable(range));
	return 1;
}

static noinline int may_wait(const struct mmu_notifier_range *range)
{
	return mmu_notifier_range_blockable(range) ? 5 : 0;
}

CONTROL(n_values_flag_returned)
{
	if (may_wait(range))
		mutex_lock(&driver(mni)->lock);
	return 1;
}

CONTROL(p_flag_in_driver)
{
	if (driver(mni)->block)
		mutex_lock(&driver(mni)->lock);
	return 1;
}

CONTROL(n_values_switch)
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

CONTROL(p_switch)
{
	switch (range->event) {
	case MMU_NOTIFY_UNMAP:
		break;
	case MMU_NOTIFY_CLEAR:
		mutex_lock(&driver(mni)->lock);
	}
	return 1;
}

CONTROL(p_loop)
{
	for (struct driver *d = driver(mni); d; d = d->next)
		mutex_lock(&d->lock);
	return 1;
}

static noinline void down(void *p, int depth)
{
	if (depth)
		down(p, depth - 1);
	else
		mutex_lock(p);
}

CONTROL(p_recursion)
{
	down(mni, 3);
	return 1;
}

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

CONTROL(p_many_arguments)
{
	HUNDRED(if_last, mni, 0);
	HUNDRED(if_last, mni, 100);
	TEN(if_last, mni, 200);
	TEN(if_last, mni, 210);
	TEN(if_last, mni, 220);
	return 1;
}

CONTROL(p_wait)
{
	wait_event(NULL, *(volatile int *)mni);
	return 1;
}

CONTROL(p_sleep)
{
	msleep(1);
	return 1;
}

CONTROL(n_values_no_timeout)
{
	schedule_timeout(0);
	return 1;
}

CONTROL(p_timeout)
{
	schedule_timeout(seq);
	return 1;
}

/* Allocations: the flags go through every level. */
static noinline void *middle(gfp_t gfp)
{
	return kmalloc(64, gfp | __GFP_ZERO);
}

CONTROL(n_values_nowait)
{
	driver(mni)->p = middle(GFP_NOWAIT);
	return 1;
}

CONTROL(n_values_atomic)
{
	driver(mni)->p = middle(GFP_ATOMIC);
	return 1;
}

CONTROL(p_kernel)
{
	driver(mni)->p = middle(GFP_KERNEL);
	return 1;
}

CONTROL(p_gfp_or)
{
	driver(mni)->p = middle(GFP_NOWAIT | (seq ? __GFP_DIRECT_RECLAIM : 0));
	return 1;
}

CONTROL(n_values_gfp_masked)
{
	driver(mni)->p = middle(GFP_KERNEL & ~__GFP_DIRECT_RECLAIM);
	return 1;
}

CONTROL(n_values_gfp_masked_late)
{
	driver(mni)->p = middle((gfp_t)seq & ~__GFP_DIRECT_RECLAIM);
	return 1;
}

CONTROL(p_gfp_unknown)
{
	driver(mni)->p = middle((gfp_t)seq);
	return 1;
}

CONTROL(n_values_gfp_by_flag)
{
	driver(mni)->p = middle(mmu_notifier_range_blockable(range) ? GFP_KERNEL : GFP_NOWAIT);
	return 1;
}

/* In a scope that must not reclaim, no allocation waits. Everything else does. */
CONTROL(n_values_noreclaim)
{
	unsigned int flags = memalloc_noreclaim_save();

	middle(GFP_KERNEL);
	memalloc_noreclaim_restore(flags);
	return 1;
}

CONTROL(p_noreclaim_ended)
{
	memalloc_noreclaim_restore(memalloc_noreclaim_save());
	middle(GFP_KERNEL);
	return 1;
}

CONTROL(p_noreclaim_cleared)
{
	memalloc_noreclaim_save();
	current->flags &= ~PF_MEMALLOC;
	middle(GFP_KERNEL);
	return 1;
}

CONTROL(n_values_noreclaim_other_flag)
{
	memalloc_noreclaim_save();
	current->flags &= ~PF_MEMALLOC_NOFS;
	middle(GFP_KERNEL);
	return 1;
}

CONTROL(p_noreclaim_lock)
{
	memalloc_noreclaim_save();
	mutex_lock(&driver(mni)->lock);
	return 1;
}

CONTROL(p_nofs)
{
	memalloc_flags_save(PF_MEMALLOC_NOFS);
	middle(GFP_KERNEL);
	return 1;
}

CONTROL(p_noreclaim_on_one_path)
{
	if (seq)
		memalloc_noreclaim_save();
	middle(GFP_KERNEL);
	return 1;
}

CONTROL(p_noreclaim_in_loop)
{
	unsigned int flags = memalloc_noreclaim_save();

	while (seq--) {
		middle(GFP_KERNEL);
		memalloc_noreclaim_restore(flags);
	}
	return 1;
}

CONTROL(n_values_noreclaim_nested)
{
	unsigned int flags = memalloc_noreclaim_save();

	memalloc_noreclaim_restore(memalloc_noreclaim_save());
	scope_ends(scope_begins(GFP_NOWAIT));
	scope_ends(scope_begins(GFP_KERNEL));
	middle(GFP_KERNEL);
	memalloc_noreclaim_restore(flags);
	return 1;
}

CONTROL(n_values_noreclaim_by_gfp)
{
	unsigned int flags = scope_begins(GFP_NOWAIT);

	middle(GFP_KERNEL);
	scope_ends(flags);
	return 1;
}

CONTROL(p_noreclaim_by_gfp)
{
	unsigned int flags = scope_begins((gfp_t)seq);

	middle(GFP_KERNEL);
	scope_ends(flags);
	return 1;
}

CONTROL(p_noreclaim_ended_there)
{
	scope_ends(scope_begins(GFP_NOWAIT));
	middle(GFP_KERNEL);
	return 1;
}

CONTROL(p_noreclaim_of_another_task)
{
	((struct task_struct *)driver(mni)->p)->flags |= PF_MEMALLOC;
	middle(GFP_KERNEL);
	return 1;
}

CONTROL(p_noreclaim_flags_of_another_task)
{
	memalloc_noreclaim_save();
	if (!(((struct task_struct *)driver(mni)->p)->flags & PF_MEMALLOC))
		mutex_lock(mni);
	return 1;
}

CONTROL(p_noreclaim_perhaps_of_this_task)
{
	memalloc_noreclaim_save();
	((struct task_struct *)driver(mni)->p)->flags = 0;
	middle(GFP_KERNEL);
	return 1;
}

static noinline void ends_scope(void *p) { current->flags = 0; }
static noinline void calls_end(void *p, char c) { ends_scope(p); }
static void ends_scope_of(void *p, char c) { current->flags = 0; }
struct ending { long a; void (*run)(void *p, char c); } ending = { .run = ends_scope_of };

CONTROL(p_noreclaim_ended_by_callee)
{
	memalloc_noreclaim_save();
	calls_end(mni, 1);
	middle(GFP_KERNEL);
	return 1;
}

CONTROL(p_noreclaim_ended_by_pointer)
{
	memalloc_noreclaim_save();
	((struct ending *)driver(mni)->p)->run(mni, 1);
	middle(GFP_KERNEL);
	return 1;
}

CONTROL(p_noreclaim_ended_by_assembly)
{
	memalloc_noreclaim_save();
	asm volatile("call %c0" : : "i"(ends_scope));
	middle(GFP_KERNEL);
	return 1;
}

/* Function pointers. */
struct ops ops = { .first = fast, .second = twice };
const struct slow_ops slow_ops = { 1, slow };

CONTROL(n_fields_ops)
{
	driver(mni)->ops->first(mni);
	return 1;
}

CONTROL(p_ops)
{
	driver(mni)->slow->run(mni);
	return 1;
}

struct stored { long a; void (*run)(void *p); };
void store(struct stored *s) { s->run = slow; }

CONTROL(p_ops_stored)
{
	driver(mni)->next->ops = &ops;
	((struct stored *)driver(mni)->p)->run(mni);
	return 1;
}

struct stored_fast { long a; void (*run)(void *p); };
void store_fast(struct stored_fast *s) { s->run = fast; }

CONTROL(n_fields_stored)
{
	((struct stored_fast *)driver(mni)->p)->run(mni);
	return 1;
}

struct copied { long a; void (*run)(void *p); };
void copy(struct copied *c, struct stored *s) { c->run = s->run; }

CONTROL(p_copied)
{
	((struct copied *)driver(mni)->p)->run(mni);
	return 1;
}

struct by_parameter { long a; void (*run)(void *p); };
static noinline void set(struct by_parameter *b, void (*run)(void *p)) { b->run = run; }
void sets(struct by_parameter *b) { set(b, slow); }

CONTROL(p_stored_by_parameter)
{
	((struct by_parameter *)driver(mni)->p)->run(mni);
	return 1;
}

struct by_parameter2 { long a; void (*run)(void *p); };
static noinline void set2(struct by_parameter2 *b, void (*run)(void *p)) { b->run = run; }
void sets2(struct by_parameter2 *b) { set2(b, fast); }

CONTROL(n_fields_stored_by_parameter)
{
	((struct by_parameter2 *)driver(mni)->p)->run(mni);
	return 1;
}

struct by_address { long a; void (*run)(void *p); };
static noinline void write(void (**to)(void *p), void (*run)(void *p)) { *to = run; }
void writes(struct by_address *b) { write(&b->run, slow_by_address); }

CONTROL(p_stored_by_address)
{
	((struct by_address *)driver(mni)->p)->run(mni);
	return 1;
}

struct returned { long a; void (*run)(void *p); };
static noinline void *pick(void) { return slow; }
void picks(struct returned *r) { r->run = pick(); }

CONTROL(p_returned)
{
	((struct returned *)driver(mni)->p)->run(mni);
	return 1;
}

static void (*const table[])(void *p) = { fast, slow };

CONTROL(p_in_array)
{
	table[seq & 1](mni);
	return 1;
}

static void (*const fast_table[])(void *p) = { fast, fast };

CONTROL(n_fields_in_array)
{
	fast_table[seq & 1](mni);
	return 1;
}

struct with_union { union { char x; struct { void (*other)(void *p, long x); char big[40]; }; }; void (*run)(void *p, long x); };
struct with_union with_union = { .x = 5, .run = slow_in_union };

CONTROL(p_in_union)
{
	((struct with_union *)driver(mni)->p)->run(mni, 1);
	return 1;
}

struct anonymous { int a; struct { int b; void (*run)(void *p); }; };
void anonymous(struct anonymous *a) { a->run = slow; }

CONTROL(p_in_anonymous_struct)
{
	((struct anonymous *)driver(mni)->p)->run(mni);
	return 1;
}

struct typed { long a; int (*run)(int x); };
void *untyped_sink;
void typed(struct typed *t) { t->run = twice; *(void **)&t->run = untyped_sink; untyped_sink = slow; }

CONTROL(n_kcfi_other_type)
{
	(void)((struct typed *)driver(mni)->p)->run(3);
	return 1;
}

static noinline void apply(void (*f)(void *p), void *p)
{
	f(p);
}

CONTROL(n_values_passed)
{
	apply(fast, mni);
	return 1;
}

CONTROL(p_passed)
{
	apply(slow, mni);
	return 1;
}

struct later { long a; void (*run)(void *p); };

CONTROL(n_plain_asynchronous)
{
	((struct later *)driver(mni)->p)->run = slow;
	return 1;
}

CONTROL(p_two_fields)
{
	if (seq & 1)
		driver(mni)->ops->first(mni);
	else
		driver(mni)->slow->run(mni);
	return 1;
}

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

CONTROL(n_objects_flag)
{
	struct parameters p = {
		.address = seq, .handler = handler, .may_block = mmu_notifier_range_blockable(range),
	};
	
	handle(&p);
	return 1;
}

CONTROL(p_object_flag)
{
	struct parameters p = { .address = seq, .handler = handler, .may_block = 1 };
	
	handle(&p);
	return 1;
}

static bool handler2(struct parameters *p)
{
	if (p->may_block)
		mutex_lock(p);
	return 0;
}

static noinline bool handle2(struct parameters *p) { return p->handler(p); }
static noinline void scribble(struct parameters *p) { p->may_block = *(volatile char *)&p->address & 1; }

CONTROL(p_object_written)
{
	struct parameters p = { .address = seq, .handler = handler2, .may_block = 0 };
	
	scribble(&p);
	if (handle2(&p))
		return 0;
	return 1;
}

static struct parameters *volatile kept;
noinline void keeper(void) { kept->may_block = 1; }

CONTROL(p_object_kept)
{
	struct parameters p = { .address = seq, .handler = handler, .may_block = 0 };
	
	kept = &p;
	keeper();
	handler(&p);
	return 1;
}

/* Links, and what cannot be followed. */
CONTROL(n_plain_weak)
{
	weak_one(mni);
	return 1;
}

static noinline void same_name(void *p) { *(int *)p = 2; }

CONTROL(n_plain_same_name)
{
	same_name(mni);
	return 1;
}

CONTROL(u_no_body)
{
	nowhere();
	return 1;
}

struct empty { void (*run)(void *p, int a, int b); };

CONTROL(u_no_target)
{
	((struct empty *)driver(mni)->p)->run(mni, 1, 2);
	return 1;
}

CONTROL(u_assembly)
{
	asm volatile("call *%0" : : "r"(seq));
	return 1;
}

CONTROL(p_assembly)
{
	asm volatile("call %c0" : : "i"(slow));
	return 1;
}

CONTROL(p_assembly_by_name)
{
	asm volatile("call mutex_lock");
	return 1;
}

CONTROL(n_plain_assembly)
{
	asm volatile("lock; incl %0" : "+m"(*(int *)mni));
	return 1;
}

CONTROL(p_asm_goto)
{
	asm goto("jmp %l0" : : : : out);
	return 0;
out:
	mutex_lock(mni);
	return 1;
}

CONTROL(n_plain_null)
{
	void (*f)(void *p) = NULL;
	
	if (seq == 3)
		f = fast;
	if (f)
		f(mni);
	return 1;
}

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
