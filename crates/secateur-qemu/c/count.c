/* A plugin of QEMU's user-mode emulator that counts the instructions that a guest executes, by class, and models its
 * caches. Written against version 1 of the plugin interface (QEMU 6.0 to 8.2); the declarations are below, so that no
 * header of QEMU's is needed. Counts repeat exactly. Guests with one thread only.
 *
 * Two no-operations of the guest bracket a region: HINT #64 begins it and HINT #80 ends it.
 * Arguments: out=FILE     lines are appended to it, one at each end of a region (default: stderr);
 *            cache=a53|a72|a76   least-recently-used model of L1I, L1D and L2 with that core's sizes, no prefetcher;
 *            calls=NAME   one line for each call that the function NAME makes in regions, at the end of the program: `call`,
 *                         its number, how often it was made, the address called, and the counts of all times;
 *            blocks=on    one line for each run of instructions executed in regions, at the end of the program: `block`,
 *                         its address, its number of instructions, how often it was executed.
 * Other lines are a name and then, in the order of `CLASSES` and `LEVELS`, counts, in plain text.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef struct {
    const char *target_name;
    struct {
        int min, cur;
    } version;
    bool system_emulation;
    union {
        struct {
            int smp_vcpus, max_vcpus;
        } system;
    };
} qemu_info_t;
typedef void (*on_udata)(unsigned vcpu, void *userdata);
typedef void (*on_memory)(unsigned vcpu, uint32_t info, uint64_t address, void *userdata);
extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t,
                                                  void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
extern void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, on_udata, int flags, void *userdata);
extern void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *, int op, void *counter, uint64_t by);
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, int op, void *counter, uint64_t by);
extern void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *, on_memory, int flags, int which, void *userdata);
extern void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, void *), void *userdata);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
extern const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
extern const char *qemu_plugin_insn_symbol(const struct qemu_plugin_insn *);
extern unsigned qemu_plugin_mem_size_shift(uint32_t info);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;
enum { NO_REGISTERS = 0, READS_AND_WRITES = 3, ADD = 0 };

/* What kinds of instruction are told apart. */
enum class { MULTIPLY_ADD, VECTOR, LOAD_VECTOR, STORE_VECTOR, LOAD, STORE, BRANCH, PREFETCH, INTEGER, CLASSES };
enum level { L1I, L1D, L2, LEVELS };

struct tally {
    uint64_t executed[CLASSES];
    uint64_t miss[LEVELS], access[LEVELS];
};

static struct tally now;
static struct tally at_begin;
static bool inside;
static FILE *out;

static const struct pattern {
    uint32_t mask, value;
} PRODUCTS[] = {
    /* Arm Architecture Reference Manual, C4.1 (Advanced SIMD): each form that adds products to its destination. */
    {0xbf20fc00, 0x0e20cc00}, /* FMLA, FMLS, vector, single and double */
    {0xbf60fc00, 0x0e400c00}, /* the same, half */
    {0xbf80b400, 0x0f801000}, /* FMLA, FMLS, by element, single and double */
    {0xbfc0b400, 0x0f001000}, /* the same, half */
    {0x9fe0fc00, 0x0e809400}, /* SDOT, UDOT, vector */
    {0x9fc0f400, 0x0f80e000}, /* the same, by element */
    {0xdfe0fc00, 0x4e80a400}, /* SMMLA, UMMLA */
    {0x9f20dc00, 0x0e208000}, /* SMLAL, UMLAL, SMLSL, UMLSL, vector (0x9f20fc00 with either sign) */
    {0x9f00b400, 0x0f002000}, /* the same, by element */
    {0x9f20fc00, 0x0e20c000}, /* SMULL, UMULL, vector */
    {0x9f00f400, 0x0f00a000}, /* the same, by element */
    {0x9f20fc00, 0x0e209400}, /* MLA, MLS, vector */
    {0xff000000, 0x1f000000}, /* FMADD and its kin, scalar */
};

static enum class classify(uint32_t w) {
    if ((w & 0x0a000000) == 0x08000000) { /* loads and stores: bit 26 says vector */
        const bool vector = w >> 26 & 1;
        const unsigned form = w >> 27 & 7, opc = w >> 22 & 3;
        bool load = w >> 22 & 1;
        if (form == 3) { /* literal */
            if (!vector && w >> 30 == 3) return PREFETCH;
            load = true;
        } else if (form == 7 && !vector) {
            if (w >> 30 == 3 && opc == 2) return PREFETCH;
            load = opc != 0;
        }
        return vector ? (load ? LOAD_VECTOR : STORE_VECTOR) : (load ? LOAD : STORE);
    }
    if ((w & 0x0e000000) == 0x0e000000) {
        for (unsigned i = 0; i < sizeof PRODUCTS / sizeof *PRODUCTS; i++)
            if ((w & PRODUCTS[i].mask) == PRODUCTS[i].value) return MULTIPLY_ADD;
        return VECTOR;
    }
    return (w & 0x1c000000) == 0x14000000 && (w & 0xffc00000) != 0xd5000000 ? BRANCH : INTEGER;
}

/* Caches: lines of 64 bytes, the least recently used of a set goes. */
struct cache {
    unsigned sets, ways;
    uint64_t *line, *used;
};
static struct cache cache[LEVELS];
static bool cached;
static uint64_t clock_, last_fetched = ~0ull;

static void make_cache(struct cache *c, unsigned kib, unsigned ways) {
    c->ways = ways;
    c->sets = kib * 1024 / 64 / ways;
    c->line = malloc(sizeof *c->line * c->sets * ways);
    c->used = calloc(c->sets * ways, sizeof *c->used);
    if (!c->line || !c->used) abort();
    memset(c->line, 0xff, sizeof *c->line * c->sets * ways);
}

static bool hit(enum level level, uint64_t line) {
    struct cache *c = &cache[level];
    uint64_t *lines = c->line + line % c->sets * c->ways, *used = c->used + line % c->sets * c->ways;
    unsigned oldest = 0;
    now.access[level]++;
    for (unsigned i = 0; i < c->ways; i++) {
        if (lines[i] == line) {
            used[i] = ++clock_;
            return true;
        }
        if (used[i] < used[oldest]) oldest = i;
    }
    now.miss[level]++;
    lines[oldest] = line;
    used[oldest] = ++clock_;
    return false;
}

static void memory(unsigned vcpu, uint32_t info, uint64_t address, void *unused) {
    const uint64_t last = address + (1ull << qemu_plugin_mem_size_shift(info)) - 1;
    (void)vcpu, (void)unused;
    for (uint64_t line = address >> 6; line <= last >> 6; line++)
        if (!hit(L1D, line)) hit(L2, line);
}

static void fetch(unsigned vcpu, void *line_) {
    const uint64_t line = (uint64_t)line_;
    (void)vcpu;
    if (line == last_fetched) return;
    last_fetched = line;
    if (!hit(L1I, line)) hit(L2, line);
}

static void add_difference(struct tally *to, const struct tally *from) {
    const uint64_t *a = (const uint64_t *)&now, *b = (const uint64_t *)from;
    for (size_t i = 0; i < sizeof now / 8; i++) ((uint64_t *)to)[i] += a[i] - b[i];
}

static void line(const char *name, const struct tally *t) {
    const uint64_t *w = (const uint64_t *)t;
    fputs(name, out);
    for (size_t i = 0; i < sizeof *t / 8; i++) fprintf(out, " %lu", (unsigned long)w[i]);
    fputc('\n', out);
    fflush(out);
}

/* Calls that one function makes, by address. What it does itself is call 0. */
enum { CALLS = 4096 };
static const char *caller;
static struct call {
    uint64_t address, target, times;
    struct tally total;
} call[CALLS];
static unsigned calls = 1, calling;
static struct tally at_call;

/* Runs of instructions as the emulator translates them. One that is translated again is a new one. */
enum { BLOCKS = 1 << 16 };
static bool blocked;
static struct {
    uint64_t address, length;
} block[BLOCKS];
static uint64_t executed[BLOCKS], executed_before[BLOCKS], executed_inside[BLOCKS];
static unsigned blocks;

static void begin(unsigned vcpu, void *unused) {
    (void)vcpu, (void)unused;
    at_begin = at_call = now;
    calling = 0;
    inside = true;
    memcpy(executed_before, executed, blocks * sizeof *executed);
}

static void end(unsigned vcpu, void *unused) {
    (void)vcpu, (void)unused;
    if (!inside) return;
    inside = false;
    struct tally t = {0};
    add_difference(&t, &at_begin);
    line("region", &t);
    for (unsigned i = 0; i < blocks; i++) executed_inside[i] += executed[i] - executed_before[i];
}

static void change(unsigned vcpu, void *to) {
    (void)vcpu;
    if (!inside) return;
    add_difference(&call[calling].total, &at_call);
    at_call = now;
    calling = (unsigned)(uintptr_t)to;
    call[calling].times++;
}

static unsigned call_of(uint64_t address, uint64_t target) {
    for (unsigned i = 1; i < calls; i++)
        if (call[i].address == address) return i;
    if (calls == CALLS) return 0;
    call[calls].address = address;
    call[calls].target = target;
    return calls++;
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
    (void)id;
    const size_t n = qemu_plugin_tb_n_insns(tb);
    if (blocked && blocks < BLOCKS) {
        block[blocks].address = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, 0));
        block[blocks].length = n;
        qemu_plugin_register_vcpu_tb_exec_inline(tb, ADD, &executed[blocks], 1);
        blocks++;
    }
    for (size_t i = 0; i < n; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        uint32_t w;
        memcpy(&w, qemu_plugin_insn_data(insn), 4);
        if (w == (0xd503201f | 64 << 5) || w == (0xd503201f | 80 << 5)) {
            on_udata mark = w == (0xd503201f | 64 << 5) ? begin : end;
            qemu_plugin_register_vcpu_insn_exec_cb(insn, mark, NO_REGISTERS, 0);
            continue;
        }
        const uint64_t address = qemu_plugin_insn_vaddr(insn);
        const char *symbol = caller ? qemu_plugin_insn_symbol(insn) : 0;
        if (symbol && strcmp(symbol, caller) == 0) {
            const bool is_call = (w & 0xfc000000) == 0x94000000 || (w & 0xfffffc1f) == 0xd63f0000;
            /* A call ends a block; the next instruction begins one. Blocks that begin otherwise are counted right too. */
            if (is_call || i == 0) {
                /* BL's offset is 26 signed bits of words; BLR's target is not known here. */
                const uint64_t target = w >> 31 && (w & 0x7c000000) == 0x14000000
                                            ? address + (uint64_t)((int64_t)((int32_t)(w << 6) >> 6) * 4)
                                            : 0;
                void *to = (void *)(uintptr_t)(is_call ? call_of(address, target) : 0);
                qemu_plugin_register_vcpu_insn_exec_cb(insn, change, NO_REGISTERS, to);
            }
        }
        qemu_plugin_register_vcpu_insn_exec_inline(insn, ADD, &now.executed[classify(w)], 1);
        if (cached) {
            qemu_plugin_register_vcpu_insn_exec_cb(insn, fetch, NO_REGISTERS, (void *)(address >> 6));
            qemu_plugin_register_vcpu_mem_cb(insn, memory, NO_REGISTERS, READS_AND_WRITES, 0);
        }
    }
}

static int by_address(const void *a, const void *b) {
    const uint64_t x = ((const struct call *)a)->address, y = ((const struct call *)b)->address;
    return x < y ? -1 : x > y;
}

static void finish(qemu_plugin_id_t id, void *unused) {
    (void)id, (void)unused;
    qsort(call + 1, calls - 1, sizeof *call, by_address);
    for (unsigned i = 1; i < calls; i++) {
        char name[64];
        snprintf(name, sizeof name, "call %u %lu %#lx", i, (unsigned long)call[i].times, (unsigned long)call[i].target);
        line(name, &call[i].total);
    }
    for (unsigned i = 0; i < blocks; i++)
        if (executed_inside[i])
            fprintf(out, "block %#lx %lu %lu\n", (unsigned long)block[i].address, (unsigned long)block[i].length,
                    (unsigned long)executed_inside[i]);
    line("program", &now);
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
                                                               char **argv) {
    out = stderr;
    if (strcmp(info->target_name, "aarch64")) return 1;
    for (int i = 0; i < argc; i++) {
        if (!strncmp(argv[i], "out=", 4)) {
            out = fopen(argv[i] + 4, "a");
            if (!out) return 1;
        } else if (!strncmp(argv[i], "calls=", 6)) {
            caller = strdup(argv[i] + 6);
        } else if (!strcmp(argv[i], "blocks=on")) {
            blocked = true;
        } else if (!strcmp(argv[i], "cache=a53")) {
            cached = true, make_cache(&cache[L1I], 32, 2), make_cache(&cache[L1D], 32, 4), make_cache(&cache[L2], 512, 16);
        } else if (!strcmp(argv[i], "cache=a72")) {
            cached = true, make_cache(&cache[L1I], 48, 3), make_cache(&cache[L1D], 32, 2), make_cache(&cache[L2], 1024, 16);
        } else if (!strcmp(argv[i], "cache=a76")) {
            cached = true, make_cache(&cache[L1I], 64, 4), make_cache(&cache[L1D], 64, 4), make_cache(&cache[L2], 512, 8);
        } else {
            fprintf(stderr, "count: unknown argument %s\n", argv[i]);
            return 1;
        }
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
    qemu_plugin_register_atexit_cb(id, finish, 0);
    return 0;
}
