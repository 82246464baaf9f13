/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The same drivers, written in C and in Rust: the operations that bench.c runs
 * with both. twin_rust.rs has the same structures.
 */
#ifndef _BENCH_TWIN_H
#define _BENCH_TWIN_H

#include <linux/err.h>
#include <linux/mmu_notifier.h>
#include <linux/types.h>

/**
 * struct kind - a kind of notifier
 * @size: bytes of a registration, with the data of the driver
 * @insert: registers a notifier at @slot, which has room for it; returns an
 *	error
 * @remove: undoes that
 * @work: the sum of the arguments of its callbacks
 *
 * The range ends before @end. Notifiers that are not for a range ignore it.
 */
struct kind {
	size_t size;
	int (*insert)(void *slot, struct mm_struct *mm, unsigned long start,
		      unsigned long end);
	void (*remove)(void *slot);
	unsigned long (*work)(void *slot);
};

/**
 * struct twin - the drivers in one of the languages
 * @name: the language
 * @interval: an interval notifier, which refuses if its mutex is held
 * @two_pass: an interval notifier with two passes
 * @deferring: an interval notifier that makes its refusals good
 * @list: a list notifier with a start that may refuse, and the age of pages
 * @counted: a list notifier with a start and an end
 * @arch: a list notifier for a device that walks the CPU's page tables
 * @section: begins and ends a non-blocking section
 * @locked: calls @f with the mutex of an interval notifier held
 * @deferring_locked: the same for one that makes its refusals good
 * @read: begins a read of an interval notifier, calls @f if there is one, and
 *	validates the read; returns whether it was valid
 * @get_put: gets the notifier that there is one of for each mm, calls @f if
 *	there is one, and puts it; returns an error
 */
struct twin {
	const char *name;
	struct kind interval;
	struct kind two_pass;
	struct kind deferring;
	struct kind list;
	struct kind counted;
	struct kind arch;
	void (*section)(void);
	void (*locked)(void *slot, void (*f)(void *arg), void *arg);
	void (*deferring_locked)(void *slot, void (*f)(void *arg), void *arg);
	bool (*read)(void *slot, void (*f)(void *arg), void *arg);
	int (*get_put)(struct mm_struct *mm, void (*f)(void *arg), void *arg);
};

/* Its callbacks do nothing: what is left is the core. */
extern const struct twin twin_core;
extern const struct twin twin_c;
extern const struct twin twin_rust;

bool twin_page_is_secret(const struct page *page);

/* What drivers in C do, with whatever callbacks. */

static inline int twin_subscribe(struct mmu_notifier *sub, struct mm_struct *mm,
				 const struct mmu_notifier_ops *ops)
{
	sub->ops = ops;
	return mmu_notifier_register(sub, mm);
}

/* The notifier is at the beginning of its slot. */
static inline void twin_unsubscribe(void *slot)
{
	struct mmu_notifier *sub = slot;

	mmu_notifier_unregister(sub, sub->mm);
}

static inline int twin_get_put(const struct mmu_notifier_ops *ops,
			       struct mm_struct *mm, void (*f)(void *arg),
			       void *arg)
{
	struct mmu_notifier *sub = mmu_notifier_get(ops, mm);

	if (IS_ERR(sub))
		return PTR_ERR(sub);
	if (f)
		f(arg);
	mmu_notifier_put(sub);
	return 0;
}

#endif /* _BENCH_TWIN_H */
