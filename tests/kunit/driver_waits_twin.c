// SPDX-License-Identifier: GPL-2.0
/*
 * The device of driver_waits.rs with its driver in C. If the driver would have
 * to wait, it can only refuse.
 */

#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "driver_waits.h"

/* A part of the memory, with a notifier of its own. */
struct part {
	struct mmu_interval_notifier sub;
	struct device_file *file;
	bool busy;
	bool refuses;
	bool last;
	struct mutex lock; /* for in_use, and for readers */
	bool in_use;
};

/* An open file. */
struct device_file {
	atomic64_t in_use;
	atomic64_t tries;
	atomic64_t refused;
	atomic64_t blocking;
	atomic64_t held;
	unsigned int wait;
	struct mutex lock; /* for what follows; once it is not 0 it stays */
	unsigned long notifiers;
	struct part *parts;
};

static void let_go(struct part *part)
{
	if (part->in_use)
		atomic64_dec(&part->file->in_use);
	part->in_use = false;
}

static void invalidate_blocking(struct part *part, unsigned long seq)
{
	atomic64_inc(&part->file->blocking);
	guard(mutex)(&part->lock);
	mmu_interval_set_seq(&part->sub, seq);
	if (part->in_use && part->busy)
		/* The device has to be stopped, and goes on for a while. */
		msleep(part->file->wait);
	let_go(part);
}

static bool invalidate_nonblock(struct part *part, unsigned long seq)
{
	bool done;

	if (part->refuses || !mutex_trylock(&part->lock))
		return false;
	mmu_interval_set_seq(&part->sub, seq);
	done = !part->in_use || !part->busy;
	if (done)
		let_go(part);
	mutex_unlock(&part->lock);
	return done;
}

static bool invalidate(struct mmu_interval_notifier *sub,
		       const struct mmu_notifier_range *range,
		       unsigned long seq)
{
	struct part *part = container_of(sub, struct part, sub);
	bool done;

	if (mmu_notifier_range_blockable(range)) {
		invalidate_blocking(part, seq);
		return true;
	}
	done = invalidate_nonblock(part, seq);
	if (part->last)
		atomic64_inc(&part->file->tries);
	if (!done)
		atomic64_inc(&part->file->refused);
	return done;
}

static const struct mmu_interval_notifier_ops ops = {
	.invalidate = invalidate,
};

static void remove_parts(struct part *parts, unsigned long n)
{
	while (n--)
		mmu_interval_notifier_remove(&parts[n].sub);
	kvfree(parts);
}

static int use_memory(struct device_file *file,
		      const struct driver_waits_use *use)
{
	unsigned long n = use->notifiers, step, i;
	struct part *parts;
	int ret;

	if (!use->len || use->addr + use->len < use->addr ||
	    !PAGE_ALIGNED(use->addr) || use->busy >= n ||
	    use->len / PAGE_SIZE < n || use->flags & ~DRIVER_WAITS_REFUSES)
		return -EINVAL;

	guard(mutex)(&file->lock);
	if (file->parts)
		return -EBUSY;
	parts = kvzalloc_objs(*parts, n);
	if (!parts)
		return -ENOMEM;
	file->wait = use->wait;
	step = use->len / n & PAGE_MASK;
	for (i = 0; i < n; i++) {
		struct part *part = &parts[i];
		unsigned long offset = i * step;

		mutex_init(&part->lock);
		part->file = file;
		part->busy = i < use->busy;
		part->refuses = part->busy && use->flags & DRIVER_WAITS_REFUSES;
		part->last = i + 1 == n;
		part->in_use = true;
		ret = mmu_interval_notifier_insert(&part->sub, current->mm,
						   use->addr + offset,
						   part->last ? use->len - offset : step,
						   &ops);
		if (ret) {
			remove_parts(parts, i);
			return ret;
		}
	}
	atomic64_add(n, &file->in_use);
	file->notifiers = n;
	file->parts = parts;
	return 0;
}

static int hold(struct device_file *file, unsigned long wait)
{
	unsigned long end;
	struct part *part;

	scoped_guard(mutex, &file->lock)
		part = file->parts;
	if (!part)
		return -ENXIO;

	guard(mutex)(&part->lock);
	atomic64_set(&file->held, 1);
	while (!atomic64_read(&file->tries) && !signal_pending(current))
		msleep(20);
	end = jiffies + msecs_to_jiffies(wait);
	while (time_before(jiffies, end) && !signal_pending(current))
		msleep(20);
	atomic64_set(&file->held, 0);
	return 0;
}

static long waits_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	struct device_file *file = filp->private_data;
	void __user *user = (void __user *)arg;
	struct driver_waits_use use;
	struct driver_waits_stats stats = {
		.in_use = atomic64_read(&file->in_use),
		.tries = atomic64_read(&file->tries),
		.refused = atomic64_read(&file->refused),
		.blocking = atomic64_read(&file->blocking),
		.held = atomic64_read(&file->held),
	};

	switch (cmd) {
	case DRIVER_WAITS_USE:
		if (copy_from_user(&use, user, sizeof(use)))
			return -EFAULT;
		return use_memory(file, &use);
	case DRIVER_WAITS_HOLD:
		return hold(file, arg);
	case DRIVER_WAITS_STATS:
		return copy_to_user(user, &stats, sizeof(stats)) ? -EFAULT : 0;
	}
	return -ENOTTY;
}

static int waits_open(struct inode *inode, struct file *filp)
{
	struct device_file *file = kzalloc_obj(*file);

	if (!file)
		return -ENOMEM;
	mutex_init(&file->lock);
	filp->private_data = file;
	return 0;
}

static int waits_release(struct inode *inode, struct file *filp)
{
	struct device_file *file = filp->private_data;

	remove_parts(file->parts, file->notifiers);
	kfree(file);
	return 0;
}

static const struct file_operations fops = {
	.owner = THIS_MODULE,
	.open = waits_open,
	.release = waits_release,
	.unlocked_ioctl = waits_ioctl,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "driver_waits_twin",
	.fops = &fops,
};
module_misc_device(device);

MODULE_DESCRIPTION("A device whose driver cannot let go of memory at once, in C");
MODULE_LICENSE("GPL");
