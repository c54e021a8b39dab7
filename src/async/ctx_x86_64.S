/* The swap of stacks for x86-64, System V ABI: the callee-saved registers, and the control words of
 * SSE and x87. The layout of a stack that has been left, from its stack pointer upwards:
 * mxcsr (4) x87 control word (4), r15, r14, r13, r12, rbx, rbp, return address.
 *
 * The exception flags in mxcsr belong to nobody (they are the ABI's caller-saved part), and loading
 * other ones costs 28 ns: one task that has computed with floating point would make every switch
 * eight times as slow. So mxcsr is loaded only when its control bits differ. */
    .text

/* void ctx_swap(void **save, void *to) */
    .globl ctx_swap
    .hidden ctx_swap
    .type ctx_swap, @function
    .p2align 4
ctx_swap:
    .cfi_startproc
    endbr64
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    subq $8, %rsp
    stmxcsr (%rsp)
    fnstcw 4(%rsp)
    movl (%rsp), %eax
    xorl (%rsi), %eax
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    testl $0xffc0, %eax
    jz 1f
    ldmxcsr (%rsp)
1:  fldcw 4(%rsp)
    addq $8, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    popq %rcx
    jmpq *%rcx
    .cfi_endproc
    .size ctx_swap, . - ctx_swap

/* Where a fresh stack begins: the function is in r12, its argument in r13. */
    .globl ctx_entry
    .hidden ctx_entry
    .type ctx_entry, @function
    .p2align 4
ctx_entry:
    .cfi_startproc
    .cfi_undefined rip
    endbr64
    movq %r13, %rdi
    callq *%r12
    ud2
    .cfi_endproc
    .size ctx_entry, . - ctx_entry

    .section .note.GNU-stack, "", @progbits
