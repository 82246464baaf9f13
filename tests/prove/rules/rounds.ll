; SPDX-License-Identifier: GPL-2.0
; A function that is too long to go through to its end: nothing is known of it.
; ALARM last: __might_sleep
; ALARM from_last: __might_sleep

target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-i128:128-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-linux-gnu"

define void @__might_sleep() {
  ret void
}

define internal void @if_set(i32 %x) noinline {
  %set = icmp ne i32 %x, 0
  br i1 %set, label %sleeps, label %out
sleeps:
  call void @__might_sleep()
  br label %out
out:
  ret void
}

; Each block is found only in a further round.
define void @last(i1 %c) {
  br i1 %c, label %b80, label %out
out:
  ret void
b0:
  call void @__might_sleep()
  br label %out
b1:
  br label %b0
b2:
  br label %b1
b3:
  br label %b2
b4:
  br label %b3
b5:
  br label %b4
b6:
  br label %b5
b7:
  br label %b6
b8:
  br label %b7
b9:
  br label %b8
b10:
  br label %b9
b11:
  br label %b10
b12:
  br label %b11
b13:
  br label %b12
b14:
  br label %b13
b15:
  br label %b14
b16:
  br label %b15
b17:
  br label %b16
b18:
  br label %b17
b19:
  br label %b18
b20:
  br label %b19
b21:
  br label %b20
b22:
  br label %b21
b23:
  br label %b22
b24:
  br label %b23
b25:
  br label %b24
b26:
  br label %b25
b27:
  br label %b26
b28:
  br label %b27
b29:
  br label %b28
b30:
  br label %b29
b31:
  br label %b30
b32:
  br label %b31
b33:
  br label %b32
b34:
  br label %b33
b35:
  br label %b34
b36:
  br label %b35
b37:
  br label %b36
b38:
  br label %b37
b39:
  br label %b38
b40:
  br label %b39
b41:
  br label %b40
b42:
  br label %b41
b43:
  br label %b42
b44:
  br label %b43
b45:
  br label %b44
b46:
  br label %b45
b47:
  br label %b46
b48:
  br label %b47
b49:
  br label %b48
b50:
  br label %b49
b51:
  br label %b50
b52:
  br label %b51
b53:
  br label %b52
b54:
  br label %b53
b55:
  br label %b54
b56:
  br label %b55
b57:
  br label %b56
b58:
  br label %b57
b59:
  br label %b58
b60:
  br label %b59
b61:
  br label %b60
b62:
  br label %b61
b63:
  br label %b62
b64:
  br label %b63
b65:
  br label %b64
b66:
  br label %b65
b67:
  br label %b66
b68:
  br label %b67
b69:
  br label %b68
b70:
  br label %b69
b71:
  br label %b70
b72:
  br label %b71
b73:
  br label %b72
b74:
  br label %b73
b75:
  br label %b74
b76:
  br label %b75
b77:
  br label %b76
b78:
  br label %b77
b79:
  br label %b78
b80:
  br label %b79
}

define void @from_last(i1 %c) {
  br i1 %c, label %b80, label %out
out:
  %x = phi i32 [ 0, %0 ], [ 1, %b0 ]
  call void @if_set(i32 %x)
  ret void
b0:
  br label %out
b1:
  br label %b0
b2:
  br label %b1
b3:
  br label %b2
b4:
  br label %b3
b5:
  br label %b4
b6:
  br label %b5
b7:
  br label %b6
b8:
  br label %b7
b9:
  br label %b8
b10:
  br label %b9
b11:
  br label %b10
b12:
  br label %b11
b13:
  br label %b12
b14:
  br label %b13
b15:
  br label %b14
b16:
  br label %b15
b17:
  br label %b16
b18:
  br label %b17
b19:
  br label %b18
b20:
  br label %b19
b21:
  br label %b20
b22:
  br label %b21
b23:
  br label %b22
b24:
  br label %b23
b25:
  br label %b24
b26:
  br label %b25
b27:
  br label %b26
b28:
  br label %b27
b29:
  br label %b28
b30:
  br label %b29
b31:
  br label %b30
b32:
  br label %b31
b33:
  br label %b32
b34:
  br label %b33
b35:
  br label %b34
b36:
  br label %b35
b37:
  br label %b36
b38:
  br label %b37
b39:
  br label %b38
b40:
  br label %b39
b41:
  br label %b40
b42:
  br label %b41
b43:
  br label %b42
b44:
  br label %b43
b45:
  br label %b44
b46:
  br label %b45
b47:
  br label %b46
b48:
  br label %b47
b49:
  br label %b48
b50:
  br label %b49
b51:
  br label %b50
b52:
  br label %b51
b53:
  br label %b52
b54:
  br label %b53
b55:
  br label %b54
b56:
  br label %b55
b57:
  br label %b56
b58:
  br label %b57
b59:
  br label %b58
b60:
  br label %b59
b61:
  br label %b60
b62:
  br label %b61
b63:
  br label %b62
b64:
  br label %b63
b65:
  br label %b64
b66:
  br label %b65
b67:
  br label %b66
b68:
  br label %b67
b69:
  br label %b68
b70:
  br label %b69
b71:
  br label %b70
b72:
  br label %b71
b73:
  br label %b72
b74:
  br label %b73
b75:
  br label %b74
b76:
  br label %b75
b77:
  br label %b76
b78:
  br label %b77
b79:
  br label %b78
b80:
  br label %b79
}
