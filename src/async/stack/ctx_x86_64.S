/* The swap of stacks for x86-64, System V ABI: the callee-saved registers, and the control words of
 * SSE and x87. The layout of a stack that has been left, from its stack pointer upwards:
 * mxcsr (4) x87 control word (4), r15, r14, r13, r12, rbx, rbp, return address.
 *
 * The exception flags in mxcsr belong to nobody (they are the ABI's caller-saved part), and loading
 * other ones costs 28 ns: one task that has computed with floating point would make every switch
 * eight times as slow. So mxcsr is loaded only when its control bits differ, or those of the x87.
 *
 * Of CET, the note at the end promises indirect branch tracking: where a branch may land there is an
 * endbr64, and the one that goes back to where a call was is exempt by its prefix. It does not promise
 * shadow stacks, which each stack would need one of: a program that links this has none. */
    .text

/* void ctx_swap(void **save, void *to) */
    .globl ctx_swap
    .hidden ctx_swap
    .type ctx_swap, @function
    .p2align 4
ctx_swap:
    .cfi_startproc
    endbr64
    movq (%rsp), %rdx
    pushq %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbp, 0
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbx, 0
    pushq %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r12, 0
    pushq %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r13, 0
    pushq %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r14, 0
    pushq %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r15, 0
    subq $8, %rsp
    .cfi_adjust_cfa_offset 8
    stmxcsr (%rsp)
    fnstcw 4(%rsp)
    movl (%rsp), %eax
    movzwl 4(%rsp), %ecx
    xorl (%rsi), %eax
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    testl $0xffc0, %eax
    jnz 3f
    cmpw 4(%rsp), %cx
    jne 3f
    .cfi_remember_state
1:  addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    popq %r15
    .cfi_adjust_cfa_offset -8
    .cfi_restore r15
    popq %r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore r14
    popq %r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore r13
    popq %r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore r12
    popq %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbx
    popq %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbp
    /* From one place in the program to the same one, the processor predicts a return: and only that
     * keeps its list of the return addresses to come in step with the calls that are made. */
    cmpq (%rsp), %rdx
    jne 2f
    .cfi_remember_state
    retq
    .cfi_restore_state
2:  popq %rcx
    .cfi_adjust_cfa_offset -8
    .cfi_register rip, rcx
    notrack jmpq *%rcx
    .cfi_restore_state
3:  ldmxcsr (%rsp)
    fldcw 4(%rsp)
    jmp 1b
    .cfi_endproc
    .size ctx_swap, . - ctx_swap

/* bool ctx_call_as(void *sp, void *low, void (*fn)(void *), void *arg)
 *
 * No stack is switched: only the unwinder is told that the caller of this frame is to be found in
 * what ctx_swap() has left at sp. */
    .globl ctx_call_as
    .hidden ctx_call_as
    .type ctx_call_as, @function
    .p2align 4
ctx_call_as:
    .cfi_startproc
    endbr64
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_offset rbx, -16
    movq %rdi, %rbx
    movq %rcx, %rdi
    .cfi_remember_state
    .cfi_def_cfa rbx, 64
    .cfi_offset r15, -56
    .cfi_offset r14, -48
    .cfi_offset r13, -40
    .cfi_offset r12, -32
    .cfi_offset rbx, -24
    .cfi_offset rbp, -16
    callq *%rdx
    .cfi_restore_state
    movl $1, %eax
    popq %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbx
    retq
    .cfi_endproc
    .size ctx_call_as, . - ctx_call_as

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

    /* NT_GNU_PROPERTY_TYPE_0: GNU_PROPERTY_X86_FEATURE_1_AND is GNU_PROPERTY_X86_FEATURE_1_IBT. */
    .section .note.gnu.property, "a", @note
    .p2align 3
    .long 4, 16, 5
    .asciz "GNU"
    .long 0xc0000002, 4, 1, 0

    .section .note.GNU-stack, "", @progbits
