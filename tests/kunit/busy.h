/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _NONBLOCK_KUNIT_BUSY_H
#define _NONBLOCK_KUNIT_BUSY_H

unsigned int nonblock_kunit_set_limit(unsigned int ms);
void nonblock_kunit_busy_section(unsigned int ms);
void nonblock_kunit_busy_section_irqs_off(unsigned int ms);
int nonblock_kunit_preempted_section(unsigned int ms, unsigned int busy_ms);

#endif /* _NONBLOCK_KUNIT_BUSY_H */
