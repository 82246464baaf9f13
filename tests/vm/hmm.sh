#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# memory: 1G
#
# The kernel's own tests of HMM, tools/testing/selftests/mm/hmm-tests.c, with
# the C driver and then with the Rust one.
#
# Their variants with coherent memory of the device are left out: the firmware
# would have to set some aside, and both drivers skip them. So is the benchmark:
# on a busy machine it is killed for taking too long, and the C driver then reads
# memory that is not there.

. ./helpers.inc

# Tests that the Rust driver must pass.
required="open_close anon_read anon_read_prot anon_write anon_write_prot
	anon_write_child_shared anon_write_huge anon_write_hugetlbfs file_read
	file_write anon_read_multiple anon_teardown mixedmap compound exclusive
	exclusive_mprotect exclusive_cow userfaultfd_read"

# Tests that it cannot pass, because it has no device memory to migrate to. See
# Documentation/mm/rust-hmm.rst. Three of them, anon_write_child, snapshot and
# double_map, also test other operations. hmm_test.c has these parts.
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

# tested MODULE PROGRAM OPTION ...: append its output to /tmp/MODULE.log
tested() {
	log=/tmp/$1.log
	shift
	line() {
		echo "$1" >>$log
		case $1 in
		*" RUN "*) echo "$1" ;;
		esac
	}
	lines "$@"
	# That tests fail is for their own results.
	[ $? -lt 2 ]
}

# run MODULE OPTION ...: test it, hmm_test with the options
run() {
	module=$1
	shift
	insmod /lib/modules/$module.ko || return
	tested $module hmm-tests -V hmm_device_coherent -V hmm2_device_coherent \
		-T benchmark_thp_migration &&
		tested $module hmm_test "$@"
	rmmod $module
}

# result_of MODULE TEST: pass, fail, skip, or none if it was not run
result_of() {
	found=$(sed -n -e "s/^ok [0-9]* .*\.$2 # SKIP.*/skip/p;t" \
		-e "s/^ok [0-9]* .*\.$2\>.*/pass/p;t" \
		-e "s/^not ok [0-9]* .*\.$2\>.*/fail/p" /tmp/$1.log)
	echo ${found:-none}
}

# said MODULE TEST: its output, as comments
said() {
	sed -n "/ RUN .*\.$2 \.\.\.$/,/^\(not \)\?ok /{/^#/p}" /tmp/$1.log
}

# Both drivers have the same devices.
refused_beside() {
	insmod /lib/modules/test_hmm.ko || return
	fails "can't insert" insmod /lib/modules/rust_hmm_mirror.ko &&
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

result "the drivers are not loaded together" refused_beside
# It has memory of its own. And it enters a page that was made exclusive without
# asking whether the process still has it; at the next read it may belong to
# another process. It reads memory that the kernel does not map. And it does not
# mark pages dirty, and does not check for signals.
result "the C driver is tested" run test_hmm \
	-T there_is_no_memory_of_the_device -T churn \
	-T secret_memory_stays_secret -T what_is_written_is_kept \
	-T signal_ends_a_long_snapshot
result "the Rust driver is tested" run rust_hmm_mirror

echo "# | $(printf "%-34s %-4s %s" "test of HMM" C Rust)"
for test in $tests; do
	c=$(result_of test_hmm $test)
	rust=$(result_of rust_hmm_mirror $test)
	if is_in $test "$migrating"; then
		echo "# | $(printf "%-34s %-4s %s" $test $c $rust) migrates to memory of the device"
		continue
	fi
	echo "# | $(printf "%-34s %-4s %s" $test $c $rust)"

	if [ $rust = pass ]; then
		ktap_test_pass $test
	elif is_in $test "$required" || [ $c = pass ] || [ $c = none ]; then
		said rust_hmm_mirror $test
		ktap_test_fail "$test: C: $c, Rust: $rust"
	else
		ktap_test_skip "$test: C: $c, Rust: $rust"
	fi
done

leak_result
ktap_finished
