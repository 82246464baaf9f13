; SPDX-License-Identifier: GPL-2.0
; Where ways come together.
; PROVED phi_same
; ALARM phi_other: __might_sleep
; PROVED phi_dead
; ALARM loop: __might_sleep
; PROVED select
; PROVED switch_known
; ALARM switch_default: __might_sleep
; ALARM switch_masked: __might_sleep
; ALARM switch_two_cases: __might_sleep
; ALARM switch_case_and_default: __might_sleep
; ALARM branch_to_one: __might_sleep
; ALARM after_both: __might_sleep

target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-linux-gnu"

define void @__might_sleep() {
  ret void
}

define internal void @if_set(i32 %x) {
  %set = icmp ne i32 %x, 0
  br i1 %set, label %sleeps, label %out
sleeps:
  call void @__might_sleep()
  br label %out
out:
  ret void
}

define void @phi_same(i1 %c) {
  br i1 %c, label %a, label %b
a:
  br label %b
b:
  %x = phi i32 [ 0, %0 ], [ 0, %a ]
  call void @if_set(i32 %x)
  ret void
}

define void @phi_other(i1 %c) {
  br i1 %c, label %a, label %b
a:
  br label %b
b:
  %x = phi i32 [ 0, %0 ], [ 1, %a ]
  call void @if_set(i32 %x)
  ret void
}

; Nothing comes from a block that cannot run.
define void @phi_dead() {
  br i1 false, label %a, label %b
a:
  br label %b
b:
  %x = phi i32 [ 0, %0 ], [ 1, %a ]
  call void @if_set(i32 %x)
  ret void
}

; In the first round x is 0, later it is not.
define void @loop(i32 %n) {
  br label %head
head:
  %x = phi i32 [ 0, %0 ], [ %next, %head ]
  call void @if_set(i32 %x)
  %next = add i32 %x, 1
  %more = icmp ult i32 %next, %n
  br i1 %more, label %head, label %out
out:
  ret void
}

define void @select(i1 %c) {
  %x = select i1 %c, i32 0, i32 0
  call void @if_set(i32 %x)
  ret void
}

define void @switch_known() {
  switch i32 2, label %sleeps [
    i32 1, label %sleeps
    i32 2, label %out
  ]
sleeps:
  call void @__might_sleep()
  br label %out
out:
  ret void
}

define void @switch_default(i32 %x) {
  switch i32 %x, label %sleeps [
    i32 2, label %out
  ]
sleeps:
  call void @__might_sleep()
  br label %out
out:
  ret void
}

; Some bits are known, and each case is possible.
define void @switch_masked(i32 %x) {
  %low = and i32 %x, 3
  switch i32 %low, label %sleeps [ i32 0, label %out ]
sleeps:
  call void @__might_sleep()
  br label %out
out:
  ret void
}

; Which of the cases it was is not known where they meet.
define void @switch_two_cases(i32 %x) {
  switch i32 %x, label %out [ i32 0, label %case
                              i32 1, label %case ]
case:
  call void @if_set(i32 %x)
  br label %out
out:
  ret void
}

define void @switch_case_and_default(i32 %x) {
  switch i32 %x, label %case [ i32 0, label %case
                               i32 1, label %out ]
case:
  call void @if_set(i32 %x)
  br label %out
out:
  ret void
}

define void @branch_to_one(i1 %c) {
  br i1 %c, label %one, label %one
one:
  br i1 %c, label %out, label %sleeps
sleeps:
  call void @__might_sleep()
  br label %out
out:
  ret void
}

define void @after_both(i32 %x) {
  %zero = icmp eq i32 %x, 0
  br i1 %zero, label %a, label %b
a:
  br label %join
b:
  br label %join
join:
  call void @if_set(i32 %x)
  ret void
}
