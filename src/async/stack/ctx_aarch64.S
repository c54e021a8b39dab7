/* The swap of stacks for aarch64, AAPCS64: x19 to x30, d8 to d15 and the floating-point control
 * register. The layout of a stack that has been left, from its stack pointer upwards: x19..x28, x29,
 * x30, d8..d15, fpcr, padding (176 octets).
 *
 * Where a branch may land there is a bti c (as a hint, which older assemblers know), and the note at
 * the end promises it; return addresses that are signed are saved as they are, and their stack is
 * theirs again when they are used. x18 is the platform's and not switched: with a shadow call stack
 * (-fsanitize=shadow-call-stack) this does not work. */
    .text

/* Tells the unwinder where that layout has the registers: its end is the CFA. */
    .macro cfi_saved
    .cfi_offset x19, -176
    .cfi_offset x20, -168
    .cfi_offset x21, -160
    .cfi_offset x22, -152
    .cfi_offset x23, -144
    .cfi_offset x24, -136
    .cfi_offset x25, -128
    .cfi_offset x26, -120
    .cfi_offset x27, -112
    .cfi_offset x28, -104
    .cfi_offset x29, -96
    .cfi_offset x30, -88
    .cfi_offset b8, -80
    .cfi_offset b9, -72
    .cfi_offset b10, -64
    .cfi_offset b11, -56
    .cfi_offset b12, -48
    .cfi_offset b13, -40
    .cfi_offset b14, -32
    .cfi_offset b15, -24
    .endm

/* void ctx_swap(void **save, void *to) */
    .globl ctx_swap
    .hidden ctx_swap
    .type ctx_swap, %function
    .p2align 4
ctx_swap:
    .cfi_startproc
    hint #34
    .cfi_remember_state
    sub sp, sp, #176
    .cfi_adjust_cfa_offset 176
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    cfi_saved
    mrs x9, fpcr
    str x9, [sp, #160]
    mov x10, sp
    str x10, [x0]
    mov sp, x1
    ldr x10, [sp, #160]
    cmp x9, x10
    b.eq 1f
    msr fpcr, x10
1:  ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #176
    .cfi_restore_state
    ret
    .cfi_endproc
    .size ctx_swap, . - ctx_swap

/* bool ctx_call_as(void *sp, void *low, void (*fn)(void *), void *arg)
 *
 * No stack is switched: only the unwinder is told that the caller of this frame is to be found in
 * what ctx_swap() has left at sp. */
    .globl ctx_call_as
    .hidden ctx_call_as
    .type ctx_call_as, %function
    .p2align 4
ctx_call_as:
    .cfi_startproc
    hint #34
    stp x19, x30, [sp, #-16]!
    .cfi_adjust_cfa_offset 16
    .cfi_offset x19, -16
    .cfi_offset x30, -8
    mov x19, x0
    mov x0, x3
    .cfi_remember_state
    .cfi_def_cfa x19, 176
    cfi_saved
    blr x2
    .cfi_restore_state
    mov w0, #1
    ldp x19, x30, [sp], #16
    .cfi_adjust_cfa_offset -16
    .cfi_restore x19
    .cfi_restore x30
    ret
    .cfi_endproc
    .size ctx_call_as, . - ctx_call_as

/* Where a fresh stack begins: the function is in x19, its argument in x20. */
    .globl ctx_entry
    .hidden ctx_entry
    .type ctx_entry, %function
    .p2align 4
ctx_entry:
    .cfi_startproc
    .cfi_undefined x30
    hint #34
    mov x0, x20
    mov x29, xzr
    mov x30, xzr
    blr x19
    brk #1
    .cfi_endproc
    .size ctx_entry, . - ctx_entry

    /* NT_GNU_PROPERTY_TYPE_0: GNU_PROPERTY_AARCH64_FEATURE_1_AND is GNU_PROPERTY_AARCH64_FEATURE_1_BTI. */
    .section .note.gnu.property, "a", %note
    .p2align 3
    .long 4, 16, 5
    .asciz "GNU"
    .long 0xc0000000, 4, 1, 0

    .section .note.GNU-stack, "", %progbits
