#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# memory: 1G
# timeout: 900
#
# The kernel's own tests of HMM, tools/testing/selftests/mm/hmm-tests.c, with
# the C driver and then with the Rust one.
#
# Their variants with coherent memory of the device are left out: the firmware
# would have to set some aside, and both drivers skip them.

. ./helpers.inc

# What the Rust driver has to pass.
required="open_close anon_read anon_read_prot anon_write anon_write_prot
	anon_write_child_shared anon_write_huge anon_write_hugetlbfs file_read
	file_write anon_read_multiple anon_teardown mixedmap compound exclusive
	exclusive_mprotect exclusive_cow userfaultfd_read"

# What it cannot, as it has no memory that pages could be migrated to. See
# Documentation/mm/rust-hmm.rst. hmm_test.c has what three of them, which are
# anon_write_child, snapshot and double_map, test beside the migration.
migrating="anon_write_child migrate migrate_file_private migrate_fault
	migrate_release migrate_shared migrate_multiple migrate_mixed snapshot
	double_map hmm_gup_test hmm_cow_in_device migrate_anon_huge_empty
	migrate_anon_huge_zero migrate_anon_huge_free migrate_anon_huge_fault
	migrate_partial_unmap_fault migrate_remap_fault migrate_anon_huge_err
	migrate_anon_huge_zero_err benchmark_thp_migration"

# is_in WORD LIST
is_in() {
	case " $(echo $2) " in
	*" $1 "*) return 0 ;;
	esac
	return 1
}

# lines PROGRAM OPTION ...: one for each test, its name and result
lines() {
	"$@" >/tmp/log 2>&1
	# What it says about those that failed goes to the console.
	grep -v "RUN \| OK \|^ok" /tmp/log >&2
	sed -n -e 's/^ok [0-9]* .*\.\(\w*\) # SKIP.*/\1 skip/p;t' \
		-e 's/^ok [0-9]* .*\.\(\w*\).*/\1 pass/p;t' \
		-e 's/^not ok [0-9]* .*\.\(\w*\).*/\1 fail/p' /tmp/log
}

# run MODULE OPTION ...: test it, hmm_test with the options; lines in /tmp/MODULE
run() {
	module=$1
	shift
	insmod /lib/modules/$module.ko || return
	{
		lines hmm-tests -V hmm_device_coherent -V hmm2_device_coherent
		lines hmm_test "$@"
	} >/tmp/$module
	rmmod $module
}

# result MODULE TEST: pass, fail, skip, or none if it was not run
result() {
	found=$(sed -n "s/^$2 //p" /tmp/$1)
	echo ${found:-none}
}

# Both drivers have the same devices.
refused_beside() {
	insmod /lib/modules/test_hmm.ko || return
	! insmod /lib/modules/rust_hmm_mirror.ko 2>/dev/null &&
		dmesg | grep -q "rust_hmm_mirror: test_hmm is loaded" &&
		rmmod test_hmm
}

ktap_print_header
# Their names are the last column, below a ruler.
tests=$({ hmm-tests -l; hmm_test -l; } 2>&1 |
	sed -n 's/^\(hmm\| \).* \(\w*\)$/\2/p')
counted=$(for test in $tests; do
	is_in $test "$migrating" || echo $test
done)
ktap_set_plan $(($(echo $counted | wc -w) + 4))

ktap_test_result "the drivers are not loaded together" refused_beside
# It has memory of its own. And it enters a page that was made exclusive without
# asking whether the process still has it; by the time of the next read it may
# be somebody else's. It reads memory of which the kernel has no map. And it
# does not mark what it writes to, and does not look at signals.
ktap_test_result "the C driver is tested" run test_hmm \
	-T there_is_no_memory_of_the_device -T churn \
	-T secret_memory_stays_secret -T what_is_written_is_kept \
	-T signal_ends_a_long_snapshot
ktap_test_result "the Rust driver is tested" run rust_hmm_mirror

echo "# | $(printf "%-34s %-4s %s" "test of HMM" C Rust)"
for test in $tests; do
	c=$(result test_hmm $test)
	rust=$(result rust_hmm_mirror $test)
	if is_in $test "$migrating"; then
		echo "# | $(printf "%-34s %-4s %s" $test $c $rust) migrates to memory of the device"
		continue
	fi
	echo "# | $(printf "%-34s %-4s %s" $test $c $rust)"

	if [ $rust = pass ]; then
		ktap_test_pass $test
	elif is_in $test "$required" || [ $c = pass ] || [ $c = none ]; then
		ktap_test_fail "$test: C: $c, Rust: $rust"
	else
		ktap_test_skip "$test: C: $c, Rust: $rust"
	fi
done

leak_result
ktap_finished
