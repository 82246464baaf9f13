// SPDX-License-Identifier: GPL-2.0-only
/*
 * A driver with an MMU notifier that has to wait before it gives memory back,
 * for tests of the OOM reaper and of process_mrelease(2).
 *
 * A letter written to /dev/slow_mmu_notifier is a command for the open file:
 *	m	the notifier is for the memory of the caller
 *	h	hold the memory: an invalidation has to wait
 *	g	let go of the memory, and do not hold it any more
 *
 * A read returns struct stats.
 */
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

static bool refuse = true;
module_param(refuse, bool, 0644);
MODULE_PARM_DESC(refuse, "refuse even if the memory is not held");

static unsigned int wait_ms;
module_param(wait_ms, uint, 0644);
MODULE_PARM_DESC(wait_ms, "how long the first invalidation waits that may wait");

static bool careless;
module_param(careless, bool, 0644);
MODULE_PARM_DESC(careless, "wait even if it must not, which is a bug");

static bool list;
module_param(list, bool, 0644);
MODULE_PARM_DESC(list, "use a list notifier, not an interval notifier");

struct stats {
	__u32 refused;		/* invalidations that must not wait */
	__u32 waiting;		/* invalidations that wait now */
	__u32 waited;		/* invalidations that may wait, in all */
};

struct slow_device {
	struct mmu_interval_notifier interval;
	struct mmu_notifier list;
	wait_queue_head_t released;
	atomic_t busy;		/* has not waited for wait_ms */
	bool held;
	atomic_t refused;
	atomic_t waiting;
	atomic_t waited;
};

/* Returns whether the device has given the memory back. */
static bool let_go(struct slow_device *dev,
		   const struct mmu_notifier_range *range)
{
	if (!mmu_notifier_range_blockable(range) && !careless) {
		if (!refuse && !READ_ONCE(dev->held))
			return true;
		atomic_inc(&dev->refused);
		return false;
	}

	atomic_inc(&dev->waiting);
	/* Pairs with slow_read(): this wait is in waiting until it has ended. */
	atomic_fetch_inc_release(&dev->waited);
	if (atomic_xchg(&dev->busy, 0))
		msleep(wait_ms);
	/* TASK_IDLE keeps a long wait from being reported as a hung task. */
	wait_event_idle(dev->released, !READ_ONCE(dev->held));
	atomic_dec(&dev->waiting);
	return true;
}

static bool invalidate(struct mmu_interval_notifier *interval_sub,
		       const struct mmu_notifier_range *range,
		       unsigned long cur_seq)
{
	return let_go(container_of(interval_sub, struct slow_device, interval),
		      range);
}

static const struct mmu_interval_notifier_ops interval_ops = {
	.invalidate = invalidate,
};

static int invalidate_range_start(struct mmu_notifier *subscription,
				  const struct mmu_notifier_range *range)
{
	struct slow_device *dev = container_of(subscription, struct slow_device,
					       list);

	return let_go(dev, range) ? 0 : -EAGAIN;
}

static const struct mmu_notifier_ops list_ops = {
	.invalidate_range_start = invalidate_range_start,
};

static int mirror(struct slow_device *dev)
{
	int err;

	if (dev->interval.mm || dev->list.ops)
		return -EBUSY;
	if (!list)
		return mmu_interval_notifier_insert(&dev->interval, current->mm,
						    0, ULONG_MAX & PAGE_MASK,
						    &interval_ops);

	dev->list.ops = &list_ops;
	err = mmu_notifier_register(&dev->list, current->mm);
	if (err)
		dev->list.ops = NULL;
	return err;
}

static int slow_open(struct inode *inode, struct file *file)
{
	struct slow_device *dev = kzalloc_obj(*dev);

	if (!dev)
		return -ENOMEM;
	atomic_set(&dev->busy, 1);
	init_waitqueue_head(&dev->released);
	file->private_data = dev;
	return 0;
}

static ssize_t slow_write(struct file *file, const char __user *buf,
			  size_t count, loff_t *pos)
{
	struct slow_device *dev = file->private_data;
	char command;
	int err;

	if (count != 1)
		return -EINVAL;
	if (get_user(command, buf))
		return -EFAULT;

	switch (command) {
	case 'm':
		err = mirror(dev);
		return err ?: count;
	case 'h':
		WRITE_ONCE(dev->held, true);
		return count;
	case 'g':
		WRITE_ONCE(dev->held, false);
		wake_up_all(&dev->released);
		return count;
	default:
		return -EINVAL;
	}
}

static ssize_t slow_read(struct file *file, char __user *buf, size_t count,
			 loff_t *pos)
{
	struct slow_device *dev = file->private_data;
	struct stats stats = {
		.refused = atomic_read(&dev->refused),
		.waited = atomic_read_acquire(&dev->waited),
	};

	stats.waiting = atomic_read(&dev->waiting);
	if (count != sizeof(stats))
		return -EINVAL;
	return copy_to_user(buf, &stats, count) ? -EFAULT : count;
}

static int slow_release(struct inode *inode, struct file *file)
{
	struct slow_device *dev = file->private_data;

	if (dev->interval.mm)
		mmu_interval_notifier_remove(&dev->interval);
	if (dev->list.ops)
		mmu_notifier_unregister(&dev->list, dev->list.mm);
	kfree(dev);
	return 0;
}

static const struct file_operations slow_fops = {
	.owner = THIS_MODULE,
	.open = slow_open,
	.read = slow_read,
	.write = slow_write,
	.release = slow_release,
};

static struct miscdevice slow_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "slow_mmu_notifier",
	.fops = &slow_fops,
};
module_misc_device(slow_misc);

MODULE_DESCRIPTION("Driver that waits in its MMU notifier");
MODULE_LICENSE("GPL");
