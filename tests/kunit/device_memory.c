// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of a device that the CPU cannot access, into which pages of a test are
 * taken.
 */

#include <linux/ioport.h>
#include <linux/memremap.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/topology.h>

#include "device_memory.h"

static void folio_free(struct folio *folio)
{
}

static vm_fault_t migrate_to_ram(struct vm_fault *vmf)
{
	return VM_FAULT_SIGBUS;
}

static const struct dev_pagemap_ops memory_ops = {
	.folio_free	= folio_free,
	.migrate_to_ram	= migrate_to_ram,
};

/* Two memories of one device, the second of which begins where the first ends. */
static struct dev_pagemap memories[2];
static struct resource *region;

/* Create them, for a device that @owner stands for. */
int nonblock_kunit_device_memory_create(void *owner)
{
	const resource_size_t size = 1UL << PA_SECTION_SHIFT;

	region = request_free_mem_region(&iomem_resource,
					 ARRAY_SIZE(memories) * size,
					 "nonblock_kunit");
	if (IS_ERR(region))
		return PTR_ERR(region);

	for (int i = 0; i < ARRAY_SIZE(memories); i++) {
		struct dev_pagemap *memory = &memories[i];
		void *mapped;

		memory->type = MEMORY_DEVICE_PRIVATE;
		memory->ops = &memory_ops;
		memory->owner = owner;
		memory->nr_range = 1;
		memory->range.start = region->start + i * size;
		memory->range.end = memory->range.start + size - 1;
		mapped = memremap_pages(memory, numa_node_id());
		if (IS_ERR(mapped)) {
			while (i--)
				memunmap_pages(&memories[i]);
			release_mem_region(region->start, resource_size(region));
			return PTR_ERR(mapped);
		}
	}
	return 0;
}

/* The pages must be gone by then. */
void nonblock_kunit_device_memory_destroy(void)
{
	for (int i = 0; i < ARRAY_SIZE(memories); i++)
		memunmap_pages(&memories[i]);
	release_mem_region(region->start, resource_size(region));
}

/*
 * Have the device take a page of the test: into the last page of the first
 * memory, or the first one of the @second.
 */
int nonblock_kunit_device_memory_take(unsigned long addr, bool second)
{
	unsigned long pfn = PHYS_PFN(memories[1].range.start) - !second;
	unsigned long src = 0, dst = 0;
	struct migrate_vma migrate = {
		.start = addr,
		.end = addr + PAGE_SIZE,
		.src = &src,
		.dst = &dst,
		.flags = MIGRATE_VMA_SELECT_SYSTEM,
	};
	int ret;

	mmap_read_lock(current->mm);
	migrate.vma = vma_lookup(current->mm, addr);
	ret = migrate_vma_setup(&migrate);
	if (ret)
		goto out;
	if (src & MIGRATE_PFN_MIGRATE) {
		zone_device_page_init(pfn_to_page(pfn), &memories[second], 0);
		dst = migrate_pfn(pfn);
	}
	migrate_vma_pages(&migrate);
	migrate_vma_finalize(&migrate);
	if (!(src & MIGRATE_PFN_MIGRATE))
		ret = -EBUSY;
out:
	mmap_read_unlock(current->mm);
	return ret;
}
