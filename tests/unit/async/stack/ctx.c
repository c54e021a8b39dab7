/* Tests of the switch of stacks, whichever file provides it. */
#include "../../check.h"

#include "async/stack/ctx.h"

#include <execinfo.h>
#include <fenv.h>
#include <sys/mman.h>

enum { STACK_SIZE = 128 * 1024 };

static void *new_stack(void)
{
    void *low = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(low, MAP_FAILED);
    (void)VALGRIND_STACK_REGISTER(low, (char *)low + STACK_SIZE);
    return low;
}

static void free_stack(void *low)
{
    munmap(low, STACK_SIZE);
}

static struct ctx home, other;
static char trace[64];

static void mark(char c)
{
    size_t len = strlen(trace);
    trace[len] = c;
    trace[len + 1] = '\0';
}

static void ping(void *arg)
{
    ctx_entered();
    mark(*(char *)arg);
    ctx_switch(&other, &home);
    mark('2');
    ctx_switch(&other, &home);
    mark('3');
    ctx_leave(&other, &home);
}

static void there_and_back(void **state)
{
    (void)state;
    void *stack = new_stack();
    ctx_init_thread(&home);
    for (int i = 0; i < times(1000); i++) { /* the same stack again and again */
        trace[0] = '\0';
        ctx_init(&other, stack, STACK_SIZE, ping, "1");
        assert_string_equal(trace, "");
        ctx_switch(&home, &other);
        mark('a');
        ctx_switch(&home, &other);
        mark('b');
        ctx_switch(&home, &other);
        assert_string_equal(trace, "1a2b3");
        ctx_end(&other);
    }
    ctx_end_thread(&home);
    free_stack(stack);
}

/* The whole stack may be used, and its first frame is aligned as the ABI says. */
static void use_stack(void *arg)
{
    ctx_entered();
    double *sum = arg;
    volatile char large[STACK_SIZE / 2];
    for (size_t i = 0; i < sizeof(large); i += 512)
        large[i] = 1;
    for (size_t i = 0; i < sizeof(large); i += 512)
        *sum += large[i];
    _Alignas(16) char text[64];
    assert_int_equal((uintptr_t)text % 16, 0);
    snprintf(text, sizeof(text), "%.3f %.3Lf", *sum, (long double)*sum);
    *sum = strtod(text, NULL);
    ctx_leave(&other, &home);
}

static void whole_stack(void **state)
{
    (void)state;
    void *stack = new_stack();
    for (size_t cut = 0; cut < 128; cut += 8) { /* any end of the stack will do */
        double sum = 0;
        ctx_init_thread(&home);
        ctx_init(&other, stack, STACK_SIZE - cut, use_stack, &sum);
        ctx_switch(&home, &other);
        assert_true(sum > STACK_SIZE / 1024 - 1 && sum < STACK_SIZE / 1024 + 1);
        ctx_end(&other);
        ctx_end_thread(&home);
    }
    free_stack(stack);
}

enum { CHAIN = 300 };

static struct link {
    struct ctx ctx;
    void *stack;
    int visits;
} chain[CHAIN];

/* Each one begins the next, and after the last one they go back one by one. */
static void link_main(void *arg)
{
    struct link *link = arg;
    size_t i = (size_t)(link - chain);
    struct ctx *before = i == 0 ? &home : &chain[i - 1].ctx;
    ctx_entered();
    volatile uint64_t local = i * 0x0101010101010101u;
    link->visits++;
    if (i + 1 < CHAIN) {
        ctx_init(&chain[i + 1].ctx, chain[i + 1].stack, STACK_SIZE, link_main, &chain[i + 1]);
        ctx_switch(&link->ctx, &chain[i + 1].ctx);
    }
    assert_true(local == i * 0x0101010101010101u);
    link->visits++;
    ctx_leave(&link->ctx, before);
}

static void deep_chain(void **state)
{
    (void)state;
    for (int i = 0; i < CHAIN; i++)
        chain[i].stack = new_stack();
    for (int round = 0; round < times(50); round++) {
        ctx_init_thread(&home);
        ctx_init(&chain[0].ctx, chain[0].stack, STACK_SIZE, link_main, &chain[0]);
        ctx_switch(&home, &chain[0].ctx);
        for (int i = 0; i < CHAIN; i++) {
            assert_int_equal(chain[i].visits, 2);
            chain[i].visits = 0;
            ctx_end(&chain[i].ctx);
        }
        ctx_end_thread(&home);
    }
    for (int i = 0; i < CHAIN; i++)
        free_stack(chain[i].stack);
}

/* --- Registers -------------------------------------------------------------------------------- */

/* ctx_probe() puts seed + 1, seed + 2, ... into the callee-saved registers, swaps, and stores what
 * is in them afterwards. */
void ctx_probe(void **save, void *to, uint64_t seed, uint64_t *after);

#if defined(__x86_64__)
enum { N_REGISTERS = 6 };
__asm__(".text\n"
        ".globl ctx_probe\n"
        ".type ctx_probe, @function\n"
        "ctx_probe:\n"
        "push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n push %rcx\n"
        "lea 1(%rdx), %rbx\n lea 2(%rdx), %rbp\n lea 3(%rdx), %r12\n"
        "lea 4(%rdx), %r13\n lea 5(%rdx), %r14\n lea 6(%rdx), %r15\n"
        "call ctx_swap\n"
        "pop %rcx\n"
        "mov %rbx, (%rcx)\n mov %rbp, 8(%rcx)\n mov %r12, 16(%rcx)\n"
        "mov %r13, 24(%rcx)\n mov %r14, 32(%rcx)\n mov %r15, 40(%rcx)\n"
        "pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n"
        "ret\n"
        ".size ctx_probe, . - ctx_probe\n");
#elif defined(__aarch64__)
enum { N_REGISTERS = 18 };
__asm__(".text\n"
        ".globl ctx_probe\n"
        ".type ctx_probe, %function\n"
        "ctx_probe:\n"
        "stp x29, x30, [sp, #-176]!\n"
        "stp x19, x20, [sp, #16]\n stp x21, x22, [sp, #32]\n stp x23, x24, [sp, #48]\n"
        "stp x25, x26, [sp, #64]\n stp x27, x28, [sp, #80]\n"
        "stp d8, d9, [sp, #96]\n stp d10, d11, [sp, #112]\n stp d12, d13, [sp, #128]\n"
        "stp d14, d15, [sp, #144]\n str x3, [sp, #160]\n"
        "add x19, x2, #1\n add x20, x2, #2\n add x21, x2, #3\n add x22, x2, #4\n"
        "add x23, x2, #5\n add x24, x2, #6\n add x25, x2, #7\n add x26, x2, #8\n"
        "add x27, x2, #9\n add x28, x2, #10\n"
        "add x9, x2, #11\n fmov d8, x9\n add x9, x2, #12\n fmov d9, x9\n"
        "add x9, x2, #13\n fmov d10, x9\n add x9, x2, #14\n fmov d11, x9\n"
        "add x9, x2, #15\n fmov d12, x9\n add x9, x2, #16\n fmov d13, x9\n"
        "add x9, x2, #17\n fmov d14, x9\n add x9, x2, #18\n fmov d15, x9\n"
        "bl ctx_swap\n"
        "ldr x3, [sp, #160]\n"
        "stp x19, x20, [x3, #0]\n stp x21, x22, [x3, #16]\n stp x23, x24, [x3, #32]\n"
        "stp x25, x26, [x3, #48]\n stp x27, x28, [x3, #64]\n"
        "stp d8, d9, [x3, #80]\n stp d10, d11, [x3, #96]\n stp d12, d13, [x3, #112]\n"
        "stp d14, d15, [x3, #128]\n"
        "ldp x19, x20, [sp, #16]\n ldp x21, x22, [sp, #32]\n ldp x23, x24, [sp, #48]\n"
        "ldp x25, x26, [sp, #64]\n ldp x27, x28, [sp, #80]\n"
        "ldp d8, d9, [sp, #96]\n ldp d10, d11, [sp, #112]\n ldp d12, d13, [sp, #128]\n"
        "ldp d14, d15, [sp, #144]\n"
        "ldp x29, x30, [sp], #176\n"
        "ret\n"
        ".size ctx_probe, . - ctx_probe\n");
#else
enum { N_REGISTERS = 0 };
void ctx_probe(void **save, void *to, uint64_t seed, uint64_t *after)
{
    (void)seed;
    (void)after;
    ctx_swap(save, to);
}
#endif

static void *here, *there;
static int n_wrong;

static void probe(void **save, void **to, uint64_t seed)
{
    uint64_t after[N_REGISTERS + 1];
    ctx_probe(save, *to, seed, after);
    for (unsigned i = 0; i < N_REGISTERS; i++)
        n_wrong += after[i] != seed + i + 1;
}

static void probe_main(void *arg)
{
    (void)arg;
    for (uint64_t i = 1;; i++)
        probe(&there, &here, i * 0x1234567812345678u);
}

static void registers_survive(void **state)
{
    (void)state;
    if (SANITIZED) /* they would have to be told of these swaps */
        skip();
    void *stack = new_stack();
    there = ctx_prepare(stack, (char *)stack + STACK_SIZE, probe_main, NULL);
    for (uint64_t i = 1; i < 100; i++)
        probe(&here, &there, i * 0x0fedcba987654321u);
    assert_int_equal(n_wrong, 0);
    free_stack(stack);
}

/* The rounding mode is in the control words; a fresh stack begins with that of its maker. */
static void rounding_main(void *arg)
{
    ctx_entered();
    int *modes = arg;
    modes[0] = fegetround();
    fesetround(FE_DOWNWARD);
    ctx_switch(&other, &home);
    modes[1] = fegetround();
    volatile double one = 1.0, ten = 10.0;
    modes[2] = one / ten < 0.1; /* the constant is rounded up */
    ctx_leave(&other, &home);
}

static void control_words_survive(void **state)
{
    (void)state;
    int modes[3];
    void *stack = new_stack();
    ctx_init_thread(&home);
    fesetround(FE_UPWARD);
    ctx_init(&other, stack, STACK_SIZE, rounding_main, modes);
    fesetround(FE_TOWARDZERO);
    ctx_switch(&home, &other);
    assert_int_equal(modes[0], FE_UPWARD);
    assert_int_equal(fegetround(), FE_TOWARDZERO);
    fesetround(FE_TONEAREST);
    ctx_switch(&home, &other);
    assert_int_equal(modes[1], FE_DOWNWARD);
    assert_true(modes[2] || RUNNING_ON_VALGRIND); /* which always rounds to nearest */
    assert_int_equal(fegetround(), FE_TONEAREST);
    ctx_end(&other);
    ctx_end_thread(&home);
    free_stack(stack);
}

/* A debugger or a profiler that walks the stack finds its end. */
static void backtrace_main(void *arg)
{
    ctx_entered();
    void *frames[64];
    *(int *)arg = backtrace(frames, 64);
    ctx_leave(&other, &home);
}

static void backtrace_ends(void **state)
{
    (void)state;
    int n = 0;
    void *stack = new_stack();
    ctx_init_thread(&home);
    ctx_init(&other, stack, STACK_SIZE, backtrace_main, &n);
    ctx_switch(&home, &other);
    assert_true(n >= 1 && n < 10);
    ctx_end(&other);
    ctx_end_thread(&home);
    free_stack(stack);
}

#if defined(__x86_64__)
static uint16_t x87_control(void)
{
    uint16_t word;
    __asm__ volatile("fnstcw %0" : "=m"(word));
    return word;
}

/* The default, but with 53 bits of precision: mxcsr knows nothing of it. */
static void x87_main(void *arg)
{
    ctx_entered();
    uint16_t *words = arg, narrow = 0x027f;
    words[0] = x87_control();
    __asm__ volatile("fldcw %0" : : "m"(narrow));
    ctx_switch(&other, &home);
    words[1] = x87_control();
    ctx_leave(&other, &home);
}

static void x87_control_word_survives_alone(void **state)
{
    (void)state;
    if (RUNNING_ON_VALGRIND)
        skip(); /* it has no such word */
    uint16_t words[2];
    void *stack = new_stack();
    ctx_init_thread(&home);
    ctx_init(&other, stack, STACK_SIZE, x87_main, words);
    ctx_switch(&home, &other);
    assert_int_equal(words[0], 0x037f);
    assert_int_equal(x87_control(), 0x037f);
    ctx_switch(&home, &other);
    assert_int_equal(words[1], 0x027f);
    assert_int_equal(x87_control(), 0x037f);
    ctx_end(&other);
    ctx_end_thread(&home);
    free_stack(stack);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(whole_stack),
        cmocka_unit_test(deep_chain),
        cmocka_unit_test(registers_survive),
        cmocka_unit_test(control_words_survive),
#if defined(__x86_64__)
        cmocka_unit_test(x87_control_word_survives_alone),
#endif
        cmocka_unit_test(backtrace_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
