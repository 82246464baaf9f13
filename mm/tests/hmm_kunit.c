// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for mm/hmm.c
 *
 * Each test has its own address space, and maps memory with the fault handlers
 * below.
 */
#include <kunit/test.h>
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/hmm.h>
#include <linux/mman.h>
#include <linux/mmu_notifier.h>
#include <linux/rmap.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>

MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING");

/* The fault handler of a mapping, and the number of its faults. */
struct test_mapping {
	struct mmu_interval_notifier notifier;
	unsigned long addr;
	unsigned int order;	/* of its entries */
	unsigned long pfn;
	bool collide;		/* invalidate, too */
	struct page *page;	/* what a fault gets, if anything */
	int faults;
	int kill_at;		/* the fault with the fatal signal */
	int give_up_at;		/* so that a test fails instead of hanging */
};

static bool invalidate(struct mmu_interval_notifier *notifier,
		       const struct mmu_notifier_range *range,
		       unsigned long cur_seq)
{
	mmu_interval_set_seq(notifier, cur_seq);
	return true;
}

static const struct mmu_interval_notifier_ops notifier_ops = {
	.invalidate = invalidate,
};

static vm_fault_t special_fault(struct vm_fault *vmf, unsigned int order)
{
	struct test_mapping *mapping = vmf->vma->vm_private_data;

	if (order != mapping->order)
		return order ? VM_FAULT_FALLBACK : VM_FAULT_SIGBUS;

	mapping->faults++;
	switch (order) {
	case 0:
		return vmf_insert_mixed(vmf->vma, vmf->address, mapping->pfn);
#ifdef CONFIG_TRANSPARENT_HUGEPAGE
	case PMD_ORDER:
		return vmf_insert_pfn_pmd(vmf, mapping->pfn, false);
#ifdef CONFIG_HAVE_ARCH_TRANSPARENT_HUGEPAGE_PUD
	case PUD_ORDER:
		return vmf_insert_pfn_pud(vmf, mapping->pfn, false);
#endif
#endif
	}
	return VM_FAULT_SIGBUS;
}

static vm_fault_t special_small_fault(struct vm_fault *vmf)
{
	return special_fault(vmf, 0);
}

static const struct vm_operations_struct special_vm_ops = {
	.fault = special_small_fault,
	.huge_fault = special_fault,
};

static int special_mmap(struct file *file, struct vm_area_struct *vma)
{
	vm_flags_set(vma, VM_MIXEDMAP | VM_HUGEPAGE);
	vma->vm_ops = &special_vm_ops;
	vma->vm_private_data = file->private_data;
	return 0;
}

static const struct file_operations special_fops = {
	.mmap = special_mmap,
};

/* Fault in no page, unless the mapping has one. */
static vm_fault_t futile_fault(struct vm_fault *vmf)
{
	struct test_mapping *mapping = vmf->vma->vm_private_data;
	unsigned long addr = vmf->address & PAGE_MASK;
	struct mmu_notifier_range range;

	mapping->faults++;
	if (mapping->faults == mapping->kill_at)
		send_sig(SIGKILL, current, 1);
	if (mapping->faults == mapping->give_up_at)
		return VM_FAULT_SIGBUS;
	if (mapping->collide) {
		mmu_notifier_range_init(&range, MMU_NOTIFY_CLEAR, 0,
					vmf->vma->vm_mm, addr,
					addr + PAGE_SIZE);
		mmu_notifier_invalidate_range_start(&range);
		mmu_notifier_invalidate_range_end(&range);
	}
	if (!mapping->page)
		return VM_FAULT_NOPAGE;
	get_page(mapping->page);
	vmf->page = mapping->page;
	return 0;
}

static const struct vm_operations_struct futile_vm_ops = {
	.fault = futile_fault,
};

static int futile_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &futile_vm_ops;
	vma->vm_private_data = file->private_data;
	return 0;
}

static const struct file_operations futile_fops = {
	.mmap = futile_mmap,
};

KUNIT_DEFINE_ACTION_WRAPPER(remove_notifier, mmu_interval_notifier_remove,
			    struct mmu_interval_notifier *);

/*
 * Map @size bytes with an address that is aligned to it, of @fops, or anonymous
 * ones, and insert a notifier for them.
 */
static struct test_mapping *map(struct kunit *test, unsigned long size,
				const struct file_operations *fops)
{
	struct test_mapping *mapping = kunit_kzalloc(test, sizeof(*mapping),
						     GFP_KERNEL);
	struct file *file = NULL;
	unsigned long addr;

	KUNIT_ASSERT_NOT_NULL(test, mapping);
	if (fops) {
		file = anon_inode_getfile("hmm_kunit", fops, mapping, O_RDWR);
		KUNIT_ASSERT_FALSE(test, IS_ERR(file));
	}
	addr = kunit_vm_mmap(test, file, 0, 2 * size, PROT_READ | PROT_WRITE,
			     file ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS,
			     0);
	if (file)
		fput(file);
	KUNIT_ASSERT_FALSE(test, !addr || IS_ERR_VALUE(addr));

	mapping->addr = ALIGN(addr, size);
	KUNIT_ASSERT_EQ(test, 0,
			mmu_interval_notifier_insert(&mapping->notifier,
						     current->mm, mapping->addr,
						     size, &notifier_ops));
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, remove_notifier,
						  &mapping->notifier));
	return mapping;
}

static struct hmm_range pages(struct test_mapping *mapping, unsigned long first,
			      unsigned long npages, unsigned long *pfns,
			      unsigned long flags)
{
	struct hmm_range range = {
		.notifier = &mapping->notifier,
		.start = mapping->addr + first * PAGE_SIZE,
		.end = mapping->addr + (first + npages) * PAGE_SIZE,
		.hmm_pfns = pfns,
		.default_flags = flags,
	};

	return range;
}

/* Check that hmm_range_fault() reports @npages from the page @first on. */
static int range_fault(struct test_mapping *mapping, unsigned long first,
		       unsigned long npages, unsigned long *pfns,
		       unsigned long flags)
{
	struct hmm_range range = pages(mapping, first, npages, pfns, flags);
	int ret;

	range.notifier_seq = mmu_interval_read_begin(range.notifier);
	mmap_read_lock(current->mm);
	ret = hmm_range_fault(&range);
	mmap_read_unlock(current->mm);
	return ret;
}

/* Return the first of @count page frames without a struct page, or 0. */
static unsigned long frames_without_pages(unsigned long frames)
{
	unsigned long first, pfn;

	for (first = frames; first < SZ_4G * 4 / PAGE_SIZE; first += frames) {
		for (pfn = first; pfn < first + frames; pfn++) {
			if (pfn_valid(pfn))
				break;
		}
		if (pfn == first + frames)
			return first;
	}
	return 0;
}

/* Special entries of @order are no pages, and have no order. */
static void check_special(struct kunit *test, unsigned int order)
{
	struct test_mapping *mapping = map(test, PAGE_SIZE << order,
					   &special_fops);
	unsigned long pfns[2] = {};
	int npages = order ? 2 : 1;

	mapping->order = order;
	mapping->pfn = frames_without_pages(1UL << order);
	if (!mapping->pfn)
		kunit_skip(test, "all of memory has struct pages");

	KUNIT_EXPECT_EQ(test, -EFAULT,
			range_fault(mapping, 0, npages, pfns, HMM_PFN_REQ_FAULT));
	if (!mapping->faults)
		kunit_skip(test, "no huge faults");
	KUNIT_EXPECT_EQ(test, mapping->faults, 1);

	/* The page is present now. */
	KUNIT_EXPECT_EQ(test, 0, range_fault(mapping, 0, npages, pfns, 0));
	for (int i = 0; i < npages; i++)
		KUNIT_EXPECT_EQ(test, pfns[i], HMM_PFN_ERROR);
	KUNIT_EXPECT_EQ(test, mapping->faults, 1);
}

static void special_pte_is_no_page(struct kunit *test)
{
	check_special(test, 0);
}

#ifdef CONFIG_TRANSPARENT_HUGEPAGE
static void special_pmd_is_no_page(struct kunit *test)
{
	check_special(test, PMD_ORDER);
}

#ifdef CONFIG_HAVE_ARCH_TRANSPARENT_HUGEPAGE_PUD
static void special_pud_is_no_page(struct kunit *test)
{
	check_special(test, PUD_ORDER);
}
#endif

/* Let the anonymous pages of @mapping be huge. */
static void allow_huge(struct kunit *test, struct test_mapping *mapping)
{
	struct vm_area_struct *vma;

	mmap_write_lock(current->mm);
	vma = vma_lookup(current->mm, mapping->addr);
	if (vma)
		vm_flags_set(vma, VM_HUGEPAGE);
	mmap_write_unlock(current->mm);
	KUNIT_ASSERT_NOT_NULL(test, vma);
}

/*
 * Check that the pages from @first on are those of @head, mapped in one piece.
 */
static void expect_huge(struct kunit *test, unsigned long first,
			const unsigned long pfns[2], unsigned long head,
			bool write)
{
	for (int i = 0; i < 2; i++) {
		KUNIT_EXPECT_TRUE(test, pfns[i] & HMM_PFN_VALID);
		KUNIT_EXPECT_FALSE(test, pfns[i] & HMM_PFN_ERROR);
		KUNIT_EXPECT_EQ(test, !!(pfns[i] & HMM_PFN_WRITE), write);
		KUNIT_EXPECT_EQ(test, hmm_pfn_to_map_order(pfns[i]),
				PMD_SHIFT - PAGE_SHIFT);
		KUNIT_EXPECT_EQ(test, pfns[i] & ~HMM_PFN_FLAGS,
				head + first + i);
	}
}

static void check_huge(struct kunit *test, bool write)
{
	struct test_mapping *mapping = map(test, PMD_SIZE, NULL);
	unsigned long flags = HMM_PFN_REQ_FAULT | (write ? HMM_PFN_REQ_WRITE : 0);
	unsigned long head = 0, pfns[2] = {};

	allow_huge(test, mapping);
	KUNIT_ASSERT_EQ(test, 0, range_fault(mapping, 0, 1, &head, flags));
	if (!hmm_pfn_to_map_order(head))
		kunit_skip(test, "no huge pages");
	head &= ~HMM_PFN_FLAGS;

	KUNIT_ASSERT_EQ(test, 0, range_fault(mapping, 3, 2, pfns, flags));
	expect_huge(test, 3, pfns, head, write);
}

static void huge_page_is_a_page(struct kunit *test)
{
	check_huge(test, true);
}

/* It is the one huge page that cannot be written to. */
static void huge_zero_page_is_a_page(struct kunit *test)
{
	check_huge(test, false);
}
#endif /* CONFIG_TRANSPARENT_HUGEPAGE */

static void fatal_signal_begin(void)
{
	allow_kernel_signal(SIGKILL);
}

static void fatal_signal_end(void)
{
	flush_signals(current);
	disallow_signal(SIGKILL);
}

static void fatal_signal_ends_retries(struct kunit *test)
{
	struct test_mapping *mapping = map(test, PAGE_SIZE, &futile_fops);
	unsigned long pfn = 0;
	struct hmm_range range = pages(mapping, 0, 1, &pfn, HMM_PFN_REQ_FAULT);
	int ret;

	mapping->collide = true;
	mapping->kill_at = 3;
	mapping->give_up_at = 6;
	fatal_signal_begin();
	ret = hmm_range_fault_unlocked_timeout(&range, 0);
	fatal_signal_end();
	KUNIT_EXPECT_EQ(test, ret, -EINTR);
	KUNIT_EXPECT_EQ(test, mapping->faults, 3);
}

/* The walk does not fault any more. */
static void fatal_signal_ends_the_last_retry(struct kunit *test)
{
	struct test_mapping *mapping = map(test, PAGE_SIZE, &futile_fops);
	unsigned long pfn = 0;
	struct hmm_range range = pages(mapping, 0, 1, &pfn, HMM_PFN_REQ_FAULT);
	int ret;

	mapping->page = alloc_page(GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, mapping->page);
	mapping->collide = true;
	mapping->kill_at = 1;
	fatal_signal_begin();
	ret = hmm_range_fault_unlocked_timeout(&range, 0);
	fatal_signal_end();
	put_page(mapping->page);
	KUNIT_EXPECT_EQ(test, ret, -EINTR);
	KUNIT_EXPECT_EQ(test, mapping->faults, 1);
}

static void fatal_signal_ends_faults(struct kunit *test)
{
	struct test_mapping *mapping = map(test, 8 * PAGE_SIZE, &futile_fops);
	unsigned long pfns[8] = {};
	int ret;

	mapping->kill_at = 3;
	mapping->give_up_at = 6;
	fatal_signal_begin();
	ret = range_fault(mapping, 0, 8, pfns, HMM_PFN_REQ_FAULT);
	fatal_signal_end();
	KUNIT_EXPECT_EQ(test, ret, -EINTR);
	KUNIT_EXPECT_EQ(test, mapping->faults, 3);
}

/* A killed task can still look at present pages. */
static void fatal_signal_is_not_for_snapshots(struct kunit *test)
{
	struct test_mapping *mapping = map(test, PAGE_SIZE, NULL);
	unsigned long pfn = 0;
	int ret;

	KUNIT_ASSERT_EQ(test, 0,
			range_fault(mapping, 0, 1, &pfn, HMM_PFN_REQ_FAULT));
	fatal_signal_begin();
	send_sig(SIGKILL, current, 1);
	ret = range_fault(mapping, 0, 1, &pfn, 0);
	fatal_signal_end();
	KUNIT_EXPECT_EQ(test, ret, 0);
	KUNIT_EXPECT_TRUE(test, pfn & HMM_PFN_VALID);
}

#if defined(CONFIG_ARM64) || defined(CONFIG_ADDRESS_MASKING)
/* Other architectures have no tags. */
#define HAVE_TAGS

/* Return @addr with a tag that this address space allows. */
static unsigned long tagged(unsigned long addr)
{
#ifdef CONFIG_ARM64
	return addr | 0x5UL << 56;
#else
	/* Like LAM, but in the kernel: the CPU need not have it. */
	current->mm->context.untag_mask = ~GENMASK(62, 57);
	return addr | BIT(60);
#endif
}

#ifdef CONFIG_DEVICE_PRIVATE
static void tagged_address_is_made_exclusive(struct kunit *test)
{
	struct test_mapping *mapping = map(test, PAGE_SIZE, NULL);
	unsigned long addr = tagged(mapping->addr);
	struct folio *folio = NULL;
	unsigned long pfn = 0;
	struct page *page;
	unsigned long seq;

	seq = mmu_interval_read_begin(&mapping->notifier);
	mmap_read_lock(current->mm);
	page = make_device_exclusive(current->mm, addr, NULL, &folio);
	mmap_read_unlock(current->mm);
	KUNIT_ASSERT_FALSE(test, IS_ERR_OR_NULL(page));
	folio_unlock(folio);
	folio_put(folio);

	/*
	 * The notifier was called. The fault that takes the page back calls it
	 * again.
	 */
	KUNIT_EXPECT_TRUE(test,
			  mmu_interval_read_retry(&mapping->notifier, seq));
	KUNIT_EXPECT_EQ(test, 0, range_fault(mapping, 0, 1, &pfn, 0));
	KUNIT_EXPECT_EQ(test, pfn, 0);
	KUNIT_EXPECT_EQ(test, -EBUSY,
			range_fault(mapping, 0, 1, &pfn, HMM_PFN_REQ_FAULT));
	KUNIT_EXPECT_EQ(test, 0,
			range_fault(mapping, 0, 1, &pfn, HMM_PFN_REQ_FAULT));
	KUNIT_EXPECT_PTR_EQ(test, hmm_pfn_to_page(pfn), page);
}
#endif

static void tagged_address_has_no_pages(struct kunit *test)
{
	struct test_mapping *mapping = map(test, PAGE_SIZE, NULL);
	unsigned long pfn = 0;

	mapping->addr = tagged(mapping->addr);
	KUNIT_EXPECT_EQ(test, -EFAULT,
			range_fault(mapping, 0, 1, &pfn, HMM_PFN_REQ_FAULT));
}
#endif

static int hmm_test_init(struct kunit *test)
{
	return kunit_attach_mm();
}

static struct kunit_case hmm_test_cases[] = {
	KUNIT_CASE(special_pte_is_no_page),
#ifdef CONFIG_TRANSPARENT_HUGEPAGE
	KUNIT_CASE(special_pmd_is_no_page),
#ifdef CONFIG_HAVE_ARCH_TRANSPARENT_HUGEPAGE_PUD
	KUNIT_CASE(special_pud_is_no_page),
#endif
	KUNIT_CASE(huge_page_is_a_page),
	KUNIT_CASE(huge_zero_page_is_a_page),
#endif
	KUNIT_CASE(fatal_signal_ends_retries),
	KUNIT_CASE(fatal_signal_ends_the_last_retry),
	KUNIT_CASE(fatal_signal_ends_faults),
	KUNIT_CASE(fatal_signal_is_not_for_snapshots),
#ifdef HAVE_TAGS
#ifdef CONFIG_DEVICE_PRIVATE
	KUNIT_CASE(tagged_address_is_made_exclusive),
#endif
	KUNIT_CASE(tagged_address_has_no_pages),
#endif
	{}
};

static struct kunit_suite hmm_test_suite = {
	.name = "hmm",
	.init = hmm_test_init,
	.test_cases = hmm_test_cases,
};

kunit_test_suite(hmm_test_suite);

MODULE_DESCRIPTION("Tests for HMM");
MODULE_LICENSE("GPL");
