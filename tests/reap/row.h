/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is printed about a situation.
 */
#ifndef ROW_H
#define ROW_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What the report is to have beside the counts, as "key=value" words. */
static char row[1024];

/* Why the situation cannot be, if it cannot. */
static const char *missing;

static void note(const char *format, ...)
{
	size_t used = strlen(row);
	va_list args;

	va_start(args, format);
	vsnprintf(row + used, sizeof(row) - used, format, args);
	va_end(args);
}

#endif /* ROW_H */
