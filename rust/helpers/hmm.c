// SPDX-License-Identifier: GPL-2.0

#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/set_memory.h>

#ifdef CONFIG_HMM_MIRROR
__rust_helper struct page *rust_helper_pfn_to_page(unsigned long pfn)
{
	return pfn_to_page(pfn);
}

__rust_helper unsigned long rust_helper_page_to_pfn(const struct page *page)
{
	return page_to_pfn(page);
}

__rust_helper bool rust_helper_kernel_page_present(struct page *page)
{
	return kernel_page_present(page);
}

__rust_helper bool rust_helper_is_pci_p2pdma_page(const struct page *page)
{
	return is_pci_p2pdma_page(page);
}

__rust_helper bool rust_helper_is_zero_pfn(unsigned long pfn)
{
	return is_zero_pfn(pfn);
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
#endif
