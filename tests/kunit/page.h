/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _NONBLOCK_KUNIT_PAGE_H
#define _NONBLOCK_KUNIT_PAGE_H

long nonblock_kunit_pfn(unsigned long addr);
long nonblock_kunit_page_refs(unsigned long addr);
void nonblock_kunit_allow_huge_pages(void);

#endif /* _NONBLOCK_KUNIT_PAGE_H */
