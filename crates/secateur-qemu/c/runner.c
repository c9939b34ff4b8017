/* Calls position-independent AArch64 functions on buffers that end, or begin, at pages that cannot be touched.
 *
 * Requests come on stdin and answers go to stdout, both little-endian; src/runner.rs is the other side. A request is
 *   u32 1, u32 placement (0: buffers end at a guard page, 1: they begin behind one), u32 seconds, u32 code bytes, code,
 *   8 arguments: u32 kind (0 null, 1 buffer, 2 the same pointer as argument `value`), u32 value or size in bytes;
 *   then for each buffer, in order, its bytes.
 * An answer is
 *   u32 outcome (0 returned, 1 signal, 2 a register was not kept, 3 written beside a buffer), u32 detail, u64 address,
 *   u64 pc relative to the code; and if the outcome is 0, the bytes of every buffer.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum { ARGUMENTS = 8, PAGE = 4096, INTEGERS = 12, VECTORS = 8, SLACK = 0x5a };

/* Filled by `call_kernel`: what the kernel found in its argument registers and what it left behind. */
struct call {
    void *function;                /* 0 */
    uint64_t argument[ARGUMENTS];  /* 8 */
    uint64_t integer[INTEGERS];    /* 72: x18..x29 on return */
    uint64_t vector[VECTORS];      /* 168: d8..d15 on return */
    uint64_t sp_before, sp_after;  /* 232, 240 */
    uint64_t fpcr;                 /* 248 */
};

void call_kernel(struct call *);
/* x18 belongs to the platform on some systems: kernels leave it alone. Sentinels are NaNs for those who compute with
 * them. Hints 64 and 80 bracket what the counting plugin counts; they are no-operations for everybody else. */
__asm__(
    ".text\n.global call_kernel\n.type call_kernel,%function\ncall_kernel:\n"
    "sub sp, sp, #192\n"
    "stp x29, x30, [sp]\nstp x19, x20, [sp, #16]\nstp x21, x22, [sp, #32]\nstp x23, x24, [sp, #48]\n"
    "stp x25, x26, [sp, #64]\nstp x27, x28, [sp, #80]\n"
    "stp d8, d9, [sp, #96]\nstp d10, d11, [sp, #112]\nstp d12, d13, [sp, #128]\nstp d14, d15, [sp, #144]\n"
    "str x18, [sp, #160]\n"
    "adrp x17, current\nstr x0, [x17, #:lo12:current]\n"
    "mov x16, sp\nstr x16, [x0, #232]\n"
    "mov x17, #0x7ff8\nlsl x17, x17, #48\nmov x16, #0x7fc0\nmovk x16, #0x7fc0, lsl #32\nlsl x16, x16, #16\n"
    "orr x17, x17, x16\ndup v0.2d, x17\n"
    ".irp r,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
    "mov v\\r\\().16b, v0.16b\n.endr\n"
    ".irp r,8,9,10,11,12,13,14,15\nadd x16, x17, #\\r\nfmov d\\r, x16\n.endr\n"
    ".irp r,9,10,11,12,13,14,15,18,19,20,21,22,23,24,25,26,27,28,29\nadd x\\r, x17, #\\r\n.endr\n"
    "ldr x16, [x0]\nmov x8, x0\n"
    "ldp x0, x1, [x8, #8]\nldp x2, x3, [x8, #24]\nldp x4, x5, [x8, #40]\nldp x6, x7, [x8, #56]\n"
    "mov x8, x17\n"
    "hint #64\nblr x16\nhint #80\n"
    "adrp x17, current\nldr x17, [x17, #:lo12:current]\n"
    "mov x16, sp\nstr x16, [x17, #240]\nldr x16, [x17, #232]\nmov sp, x16\n"
    "str x18, [x17, #72]\nstp x19, x20, [x17, #80]\nstp x21, x22, [x17, #96]\nstp x23, x24, [x17, #112]\n"
    "stp x25, x26, [x17, #128]\nstp x27, x28, [x17, #144]\nstr x29, [x17, #160]\n"
    "stp d8, d9, [x17, #168]\nstp d10, d11, [x17, #184]\nstp d12, d13, [x17, #200]\nstp d14, d15, [x17, #216]\n"
    "mrs x16, fpcr\nstr x16, [x17, #248]\nmsr fpcr, xzr\n"
    "ldr x18, [sp, #160]\n"
    "ldp x29, x30, [sp]\nldp x19, x20, [sp, #16]\nldp x21, x22, [sp, #32]\nldp x23, x24, [sp, #48]\n"
    "ldp x25, x26, [sp, #64]\nldp x27, x28, [sp, #80]\n"
    "ldp d8, d9, [sp, #96]\nldp d10, d11, [sp, #112]\nldp d12, d13, [sp, #128]\nldp d14, d15, [sp, #144]\n"
    "add sp, sp, #192\nret\n.size call_kernel, .-call_kernel\n"
    ".bss\n.balign 8\ncurrent: .skip 8\n.text\n");

static const uint64_t SENTINEL = 0x7ff800007fc00000u;

/* A run of pages with an untouchable one on both sides, and a buffer somewhere in it. */
struct arena {
    uint8_t *base;   /* first page that can be touched */
    size_t room;     /* bytes of them */
    uint8_t *start;  /* the buffer */
    size_t size;
};

static sigjmp_buf back;
static volatile sig_atomic_t caught;
static volatile uint64_t fault_address, fault_pc;

static void on_signal(int number, siginfo_t *info, void *context) {
    caught = number;
    fault_address = (uint64_t)info->si_addr;
    fault_pc = ((ucontext_t *)context)->uc_mcontext.pc;
    siglongjmp(back, 1);
}

static void give_up(const char *why) {
    perror(why);
    exit(3);
}

static void take(void *to, size_t size) {
    if (size && fread(to, 1, size, stdin) != size) exit(feof(stdin) ? 0 : 3);
}

static uint32_t word(void) {
    uint32_t w;
    take(&w, sizeof w);
    return w;
}

static void give(const void *from, size_t size) {
    if (size && fwrite(from, 1, size, stdout) != size) give_up("write");
}

/* Makes room for `size` bytes, keeping the mapping when it has just that many pages. */
static void reserve(struct arena *a, size_t size, int at_start) {
    size_t room = (size + PAGE - 1) / PAGE * PAGE;
    if (room == 0) room = PAGE;
    if (a->room != room) {
        if (a->base) munmap(a->base - PAGE, a->room + 2 * PAGE);
        uint8_t *p = mmap(0, room + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED || mprotect(p + PAGE, room, PROT_READ | PROT_WRITE)) give_up("mmap");
        a->base = p + PAGE;
        a->room = room;
    }
    a->size = size;
    a->start = at_start ? a->base : a->base + room - size;
    memset(a->base, SLACK, room);
}

/* The first byte beside the buffer that is not as `reserve` left it. */
static const uint8_t *spilt(const struct arena *a) {
    for (const uint8_t *p = a->base; p < a->base + a->room; p++) {
        if (p == a->start) p += a->size;
        if (p < a->base + a->room && *p != SLACK) return p;
    }
    return 0;
}

/* Which register was not kept: 18..29 for x, 108..115 for d, 200 for sp, 201 for FPCR; 0 if all were. */
static uint32_t not_kept(const struct call *c) {
    if (c->sp_before != c->sp_after) return 200;
    if (c->fpcr) return 201;
    for (int i = 0; i < INTEGERS; i++)
        if (c->integer[i] != SENTINEL + 18 + i) return 18 + i;
    for (int i = 0; i < VECTORS; i++)
        if (c->vector[i] != SENTINEL + 8 + i) return 108 + i;
    return 0;
}

static void answer(uint32_t outcome, uint32_t detail, uint64_t address, uint64_t pc) {
    give(&outcome, 4);
    give(&detail, 4);
    give(&address, 8);
    give(&pc, 8);
}

int main(void) {
    static uint8_t other_stack[65536];
    stack_t stack = {.ss_sp = other_stack, .ss_size = sizeof other_stack};
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGALRM};
    if (sigaltstack(&stack, 0)) give_up("sigaltstack");
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, 0);

    static struct arena code, buffer[ARGUMENTS];
    static struct call call;
    for (;;) {
        if (word() != 1) exit(3);
        const int at_start = word();
        const unsigned seconds = word();
        const size_t code_size = word();
        /* A page each time: the emulator must not think that it has seen this code. */
        if (code.base) munmap(code.base - PAGE, code.room + 2 * PAGE), code.base = 0, code.room = 0;
        reserve(&code, code_size, 1);
        take(code.start, code_size);
        if (mprotect(code.base, code.room, PROT_READ | PROT_EXEC)) give_up("mprotect");

        uint32_t kind[ARGUMENTS], value[ARGUMENTS];
        for (int i = 0; i < ARGUMENTS; i++) kind[i] = word(), value[i] = word();
        for (int i = 0; i < ARGUMENTS; i++) {
            if (kind[i] == 1) {
                reserve(&buffer[i], value[i], at_start);
                take(buffer[i].start, value[i]);
            }
        }
        for (int i = 0; i < ARGUMENTS; i++)
            call.argument[i] = kind[i] == 1   ? (uint64_t)buffer[i].start
                               : kind[i] == 2 ? (uint64_t)buffer[value[i] % ARGUMENTS].start
                                              : 0;
        call.function = code.start;
        caught = 0;
        if (sigsetjmp(back, 1) == 0) {
            alarm(seconds);
            call_kernel(&call);
        }
        alarm(0);

        const uint8_t *beside = 0;
        uint32_t which = 0;
        for (int i = 0; i < ARGUMENTS && !beside; i++)
            if (kind[i] == 1) beside = spilt(&buffer[i]), which = i;
        if (caught) {
            /* The argument whose pages are next to the address, or 8. */
            uint64_t argument = ARGUMENTS;
            int64_t offset = 0;
            for (int i = 0; i < ARGUMENTS; i++) {
                if (kind[i] != 1) continue;
                uint64_t low = (uint64_t)buffer[i].base - PAGE;
                if (fault_address >= low && fault_address < low + buffer[i].room + 2 * PAGE)
                    argument = i, offset = (int64_t)(fault_address - (uint64_t)buffer[i].start);
            }
            answer(1, caught | (uint32_t)argument << 8, argument < ARGUMENTS ? (uint64_t)offset : fault_address,
                   fault_pc - (uint64_t)code.start);
        } else if (not_kept(&call)) {
            answer(2, not_kept(&call), 0, 0);
        } else if (beside) {
            answer(3, which, (uint64_t)(beside - buffer[which].start), 0);
        } else {
            answer(0, 0, 0, 0);
            for (int i = 0; i < ARGUMENTS; i++)
                if (kind[i] == 1) give(buffer[i].start, buffer[i].size);
        }
        if (fflush(stdout)) give_up("write");
    }
}
