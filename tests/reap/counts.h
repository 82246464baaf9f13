/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How often the callbacks of the driver's modules are called, and how long that
 * takes.
 */
#ifndef COUNTS_H
#define COUNTS_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "oom.h"
#include "row.h"

#define FOLDER		"/driver"
#define MODULES		FOLDER "/loaded"
#define TABLE		"/sys/kernel/debug/mmu_notifier"
#define TRACING		"/sys/kernel/tracing/"
#define EVENT		TRACING "events/mmu_notifier/mmu_notifier_callback/"
#define TRY_FIRST	"/sys/module/mmu_notifier/parameters/try_first"

/* The modules that were loaded, by their names in the kernel. */
static struct {
	char names[16][64];
	int count;
} modules;

static void read_modules(void)
{
	FILE *file = open_file(MODULES);

	while (modules.count < 16 && fscanf(file, "%63s", modules.names[modules.count]) == 1)
		modules.count++;
	fclose(file);
}

/* Whether a line of the kernel is about a function of the driver. */
static bool is_of_driver(const char *line)
{
	char suffix[68];

	for (int i = 0; i < modules.count; i++) {
		snprintf(suffix, sizeof(suffix), "[%s]", modules.names[i]);
		if (strstr(line, suffix))
			return true;
	}
	return false;
}

struct counts {
	long registered, may_block, must_not_block, refused;
};

/* The sums of all callbacks of the driver; zeroes without CONFIG_DEBUG_MMU_NOTIFIER. */
static struct counts read_counts(void)
{
	struct counts sum = { 0 }, one;
	FILE *file = fopen(TABLE, "r");
	char line[512];

	while (file && fgets(line, sizeof(line), file)) {
		if (!is_of_driver(line) ||
		    sscanf(line, "%ld %ld %ld %ld", &one.registered, &one.may_block,
			   &one.must_not_block, &one.refused) != 4)
			continue;
		sum.registered += one.registered;
		sum.may_block += one.may_block;
		sum.must_not_block += one.must_not_block;
		sum.refused += one.refused;
	}
	if (file)
		fclose(file);
	return sum;
}

static bool counts_are_known(void)
{
	return !access(TABLE, R_OK);
}

/* One in so many invalidations is tried first as the OOM reaper makes it; 0 is none. */
static void try_first(const char *every)
{
	if (!access(TRY_FIRST, W_OK))
		write_file(TRY_FIRST, every);
}

/*
 * From now on the calls are in the trace that must not block, with the time of
 * each. The table has the longest of all, and others may take long.
 */
static void begin_counting(void)
{
	read_modules();
	try_first("0");
	/* That empties it. */
	close(open(TRACING "trace", O_WRONLY | O_TRUNC | O_CLOEXEC));
	write_file(EVENT "filter", "blockable == 0");
	write_file(EVENT "enable", "1");
}

/* The microseconds that the longest call took that must not block. */
static unsigned long long longest(void)
{
	unsigned long long longest = 0, ns;
	FILE *file = open_file(TRACING "trace");
	char line[512], *time;

	while (fgets(line, sizeof(line), file)) {
		time = is_of_driver(line) ? strstr(line, " ns=") : NULL;
		if (time && sscanf(time, " ns=%llu", &ns) == 1 && ns > longest)
			longest = ns;
	}
	fclose(file);
	return longest / 1000;
}

static void end_counting(void)
{
	struct counts counts = read_counts();

	write_file(EVENT "enable", "0");
	note(" may_block=%ld asked=%ld refused=%ld longest_us=%llu", counts.may_block,
	     counts.must_not_block, counts.refused, longest());
}

#endif /* COUNTS_H */
