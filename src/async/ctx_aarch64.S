/* The swap of stacks for aarch64, AAPCS64: x19 to x30, d8 to d15 and the floating-point control
 * register. The layout of a stack that has been left, from its stack pointer upwards: x19..x28, x29,
 * x30, d8..d15, fpcr, padding (176 octets). */
    .text

/* void ctx_swap(void **save, void *to) */
    .globl ctx_swap
    .hidden ctx_swap
    .type ctx_swap, %function
    .p2align 4
ctx_swap:
    .cfi_startproc
    sub sp, sp, #176
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
    ret
    .cfi_endproc
    .size ctx_swap, . - ctx_swap

/* Where a fresh stack begins: the function is in x19, its argument in x20. */
    .globl ctx_entry
    .hidden ctx_entry
    .type ctx_entry, %function
    .p2align 4
ctx_entry:
    .cfi_startproc
    .cfi_undefined x30
    mov x0, x20
    mov x29, xzr
    mov x30, xzr
    blr x19
    brk #1
    .cfi_endproc
    .size ctx_entry, . - ctx_entry

    .section .note.GNU-stack, "", %progbits
