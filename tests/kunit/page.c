// SPDX-License-Identifier: GPL-2.0
/*
 * The pages that a test, which is a kernel thread with an address space, really
 * has: as the page tables of the CPU have them, and without a look at notifiers.
 */

#include <linux/mm.h>
#include <linux/pgtable.h>

#include "page.h"

static pmd_t *pmd_at(unsigned long addr)
{
	pgd_t *pgd = pgd_offset(current->mm, addr);
	p4d_t *p4d;
	pud_t *pud;

	if (pgd_none(*pgd))
		return NULL;
	p4d = p4d_offset(pgd, addr);
	if (p4d_none(*p4d))
		return NULL;
	pud = pud_offset(p4d, addr);
	return pud_none(*pud) ? NULL : pmd_offset(pud, addr);
}

/* The page frame number, or -1. */
long nonblock_kunit_pfn(unsigned long addr)
{
	pmd_t *pmdp = pmd_at(addr), pmd;
	pte_t *ptep;
	long pfn = -1;

	if (!pmdp)
		return -1;
	pmd = pmdp_get_lockless(pmdp);
	if (pmd_present(pmd) && pmd_leaf(pmd))
		return pmd_pfn(pmd) + ((addr & ~PMD_MASK) >> PAGE_SHIFT);
	ptep = pte_offset_map(pmdp, addr);
	if (!ptep)
		return -1;
	if (pte_present(ptep_get(ptep)))
		pfn = pte_pfn(ptep_get(ptep));
	pte_unmap(ptep);
	return pfn;
}

/* How many references there are to the page, or -1. */
long nonblock_kunit_page_refs(unsigned long addr)
{
	long pfn = nonblock_kunit_pfn(addr);

	return pfn < 0 ? -1 : page_ref_count(pfn_to_page(pfn));
}

#ifdef CONFIG_TRANSPARENT_HUGEPAGE
/* On a small machine there are no huge pages unless root asks for them. */
void nonblock_kunit_allow_huge_pages(void)
{
	set_bit(TRANSPARENT_HUGEPAGE_REQ_MADV_FLAG,
		&transparent_hugepage_flags);
	set_bit(TRANSPARENT_HUGEPAGE_USE_ZERO_PAGE_FLAG,
		&transparent_hugepage_flags);
}
#endif
