; SPDX-License-Identifier: GPL-2.0
; Branches on what is known of bits.
; PROVED never
; ALARM always: __might_sleep
; PROVED known_bit
; ALARM unknown_bit: __might_sleep
; PROVED after_equal
; ALARM after_unequal: __might_sleep
; PROVED signed
; PROVED unsigned

target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-linux-gnu"

define void @__might_sleep() {
  ret void
}

define void @never() {
  br i1 false, label %sleeps, label %out
sleeps:
  call void @__might_sleep()
  br label %out
out:
  ret void
}

define void @always() {
  br i1 true, label %sleeps, label %out
sleeps:
  call void @__might_sleep()
  br label %out
out:
  ret void
}

; Bit 3 of the sum is known although the rest is not.
define void @known_bit(i32 %x) {
  %high = shl i32 %x, 4
  %low = or i32 %high, 3
  %masked = and i32 %low, 8
  %set = icmp ne i32 %masked, 0
  br i1 %set, label %sleeps, label %out
sleeps:
  call void @__might_sleep()
  br label %out
out:
  ret void
}

define void @unknown_bit(i32 %x) {
  %high = shl i32 %x, 3
  %masked = and i32 %high, 8
  %set = icmp ne i32 %masked, 0
  br i1 %set, label %sleeps, label %out
sleeps:
  call void @__might_sleep()
  br label %out
out:
  ret void
}

define internal void @sleeps_unless_7(i32 %x) {
  %is = icmp eq i32 %x, 7
  br i1 %is, label %out, label %sleeps
sleeps:
  call void @__might_sleep()
  br label %out
out:
  ret void
}

; What a branch says holds where it leads.
define void @after_equal(i32 %x) {
  %is = icmp eq i32 %x, 7
  br i1 %is, label %then, label %out
then:
  call void @sleeps_unless_7(i32 %x)
  br label %out
out:
  ret void
}

define void @after_unequal(i32 %x) {
  %is = icmp eq i32 %x, 7
  br i1 %is, label %out, label %else
else:
  call void @sleeps_unless_7(i32 %x)
  br label %out
out:
  ret void
}

define void @signed(i8 %x) {
  %negative = or i8 %x, -128
  %greater = icmp sgt i8 %negative, 0
  br i1 %greater, label %sleeps, label %out
sleeps:
  call void @__might_sleep()
  br label %out
out:
  ret void
}

define void @unsigned(i8 %x) {
  %small = and i8 %x, 15
  %greater = icmp ugt i8 %small, 15
  br i1 %greater, label %sleeps, label %out
sleeps:
  call void @__might_sleep()
  br label %out
out:
  ret void
}
