// SPDX-License-Identifier: GPL-2.0
/*
 * Prints the frequency of this machine's TSC in kHz, measured against the clock.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

struct sample {
	uint64_t ticks;
	uint64_t ns;
};

/*
 * Returns what both show at one point in time. On a busy machine a try may be
 * interrupted between its reads; the quickest one was not.
 */
static struct sample sample(void)
{
	struct sample best = { 0, 0 };
	uint64_t quickest = UINT64_MAX;

	for (int i = 0; i < 1000; i++) {
		uint64_t before = __rdtsc(), after;
		struct timespec now;

		clock_gettime(CLOCK_MONOTONIC, &now);
		after = __rdtsc();
		if (after - before < quickest) {
			quickest = after - before;
			best.ticks = before + quickest / 2;
			best.ns = now.tv_sec * 1000000000ULL + now.tv_nsec;
		}
	}
	return best;
}

int main(void)
{
	struct sample start = sample(), end;

	usleep(100000);
	end = sample();
	printf("%.0f\n", (end.ticks - start.ticks) * 1e6 / (end.ns - start.ns));
	return 0;
}
