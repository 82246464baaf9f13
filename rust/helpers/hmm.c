// SPDX-License-Identifier: GPL-2.0

#include <linux/highmem.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pgtable.h>
#include <linux/secretmem.h>

#ifdef CONFIG_HMM_MIRROR
__rust_helper bool rust_helper_pfn_valid(unsigned long pfn)
{
	return pfn_valid(pfn);
}

__rust_helper struct page *rust_helper_pfn_to_page(unsigned long pfn)
{
	return pfn_to_page(pfn);
}

__rust_helper unsigned long rust_helper_page_to_pfn(const struct page *page)
{
	return page_to_pfn(page);
}

__rust_helper bool rust_helper_is_pci_p2pdma_page(const struct page *page)
{
	return is_pci_p2pdma_page(page);
}

__rust_helper bool
rust_helper_zone_device_pages_have_same_pgmap(const struct page *a,
					      const struct page *b)
{
	return zone_device_pages_have_same_pgmap(a, b);
}

/* For a page that cannot lose its mapping meanwhile. */
__rust_helper bool rust_helper_page_is_secretmem(const struct page *page)
{
	struct address_space *mapping = folio_mapping(page_folio(page));

	return mapping && secretmem_mapping(mapping);
}

__rust_helper bool rust_helper_is_zero_pfn(unsigned long pfn)
{
	return is_zero_pfn(pfn);
}

__rust_helper bool rust_helper_is_huge_zero_pfn(unsigned long pfn)
{
	return is_huge_zero_pfn(pfn);
}

__rust_helper unsigned int rust_helper_pmd_order(void)
{
	return PMD_SHIFT - PAGE_SHIFT;
}

__rust_helper unsigned int rust_helper_pud_order(void)
{
	return PUD_SHIFT - PAGE_SHIFT;
}

__rust_helper void rust_helper_folio_put(struct folio *folio)
{
	folio_put(folio);
}

/*
 * Processes and other devices may write to the page at the same time: that is a
 * data race, and is meant to be one. The barrier keeps the compiler from
 * reading the page again at each use of the copy.
 */
__rust_helper void rust_helper_memcpy_from_shared_page(char *to,
						       struct page *page,
						       size_t offset,
						       size_t len)
{
	char *from = kmap_local_page(page);

	/* The process may write to the page meanwhile. */
	data_race(memcpy(to, from + offset, len));
	barrier();
	kunmap_local(from);
}

/* As above, for a page that others may access at the same time. */
__rust_helper void rust_helper_memcpy_to_shared_page(struct page *page,
						     size_t offset,
						     const char *from,
						     size_t len)
{
	char *to = kmap_local_page(page);

	/* The process may access the page meanwhile. */
	data_race(memcpy(to + offset, from, len));
	barrier();
	flush_dcache_page(page);
	kunmap_local(to);
}
#endif
