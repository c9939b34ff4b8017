/* Runs a bundle called "m" in every way that its header offers, with guard pages around all memory.
 *
 * driver MODE BATCH WORKSPACE IN_BYTES,.. OUT_BYTES,.. OUTPUT INPUT..
 * MODE: run       runs the batch once, warms up with one sample before, brackets one sample for the counting plugin
 *       threads   two threads, each with a workspace of its own, many times; all results must be equal
 *       parallel  the batch through m_run_parallel with threads
 *       divided   one workspace through m_run_parallel: parts on threads, backwards, and from both ends by turns
 *       repeat    20,000 runs; every result must be the first one
 *       million   the same with a million
 *       errors    every way of calling it wrong
 * Sizes are of one sample. Outputs are written to the file OUTPUT one after the other. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum { MOST = 16 };
struct arrays {
    size_t batch;
    void *p[MOST];
};
typedef void (*task_fn)(void *, size_t);
extern int m_run(const void *inputs, void *outputs, void *workspace);
extern int m_run_parallel(const void *inputs, void *outputs, void *workspaces, size_t count,
                          void (*)(void *, size_t, task_fn, void *), void *context);
extern const char *m_describe(void);
extern int m_supported(unsigned long hwcap);

static size_t workspace_bytes, batch, in_bytes[MOST], out_bytes[MOST], ins, outs;
static struct arrays inputs;

static void fail(const char *why) {
    fprintf(stderr, "driver: %s\n", why);
    exit(1);
}

/* Says where in the program the fault was; `nm` names the function. */
static void fault(int number, siginfo_t *info, void *context) {
    ucontext_t *c = context;
    fprintf(stderr, "driver: signal %d at address %p, code at %#llx\n", number, info->si_addr,
            (unsigned long long)c->uc_mcontext.pc);
    _exit(1);
}

/* Memory that ends at a guard page, with another one before it; filled so that forgotten zeros show. */
static void *guarded(size_t bytes, size_t align) {
    if (!bytes)
        bytes = align;
    size_t page = (size_t)sysconf(_SC_PAGESIZE), inner = (bytes + page - 1) / page * page;
    char *p = mmap(0, inner + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(p + page, inner, PROT_READ | PROT_WRITE))
        fail("no memory");
    memset(p + page, 0xcb, inner);
    return p + page + (inner - bytes) / align * align;
}

static size_t sizes(char *list, size_t *to) {
    size_t n = 0;
    for (char *s = strtok(list, ","); s && n < MOST; s = strtok(0, ","))
        to[n++] = strtoull(s, 0, 10);
    return n;
}

static void new_outputs(void **to) {
    for (size_t i = 0; i < outs; i++)
        to[i] = guarded(batch * out_bytes[i], 4);
}

static int same(void **a, void **b) {
    for (size_t i = 0; i < outs; i++)
        if (memcmp(a[i], b[i], batch * out_bytes[i]))
            return 0;
    return 1;
}

struct job {
    void *outputs[MOST];
    int status;
};

static void *work(void *p) {
    struct job *job = p;
    void *workspace = guarded(workspace_bytes, 64);
    for (int i = 0; i < 1000 && !job->status; i++)
        job->status = m_run(&inputs, job->outputs, workspace);
    return 0;
}

struct call {
    task_fn task;
    void *argument;
    size_t index;
};

static void *one(void *p) {
    struct call *c = p;
    c->task(c->argument, c->index);
    return 0;
}

static void parallel_for(void *context, size_t n, task_fn task, void *argument) {
    pthread_t threads[MOST];
    struct call calls[MOST];
    if (context != &inputs || n > MOST)
        fail("a wrong context");
    for (size_t i = 0; i < n; i++) {
        calls[i] = (struct call){task, argument, i};
        pthread_create(&threads[i], 0, one, &calls[i]);
    }
    for (size_t i = 0; i < n; i++)
        pthread_join(threads[i], 0);
}

static void backwards(void *context, size_t n, task_fn task, void *argument) {
    (void)context;
    while (n--)
        task(argument, n);
}

static void inwards(void *context, size_t n, task_fn task, void *argument) {
    (void)context;
    for (size_t i = 0; i < n; i++)
        task(argument, i % 2 ? i / 2 : n - 1 - i / 2);
}

static void expect(int found, int wanted, const char *what) {
    if (found != wanted) {
        fprintf(stderr, "driver: %s gave %d, not %d\n", what, found, wanted);
        exit(1);
    }
}

static void errors(void **outputs, char *workspace) {
    expect(m_run(0, outputs, workspace), 1, "no inputs");
    expect(m_run(&inputs, 0, workspace), 1, "no outputs");
    expect(m_run(&inputs, outputs, 0), 1, "no workspace");
    expect(m_run(&inputs, outputs, workspace + 4), 2, "a workspace between lines");
    struct arrays bad = inputs;
    bad.p[0] = 0;
    expect(m_run(&bad, outputs, workspace), 1, "a null input");
    bad.p[0] = (char *)inputs.p[0] + 1;
    expect(m_run(&bad, outputs, workspace), 2, "an input between elements");
    bad = inputs;
    bad.batch = 0;
    expect(m_run(&bad, outputs, workspace), 3, "an empty batch");
    void *none[MOST] = {0};
    expect(m_run(&inputs, none, workspace), 1, "a null output");
    expect(m_run_parallel(&inputs, outputs, workspace, 0, parallel_for, &inputs), 3, "no workspaces");
    expect(m_run_parallel(&inputs, outputs, workspace, 1, 0, &inputs), 1, "no parallel_for");
    expect(m_run_parallel(&inputs, none, workspace, 1, parallel_for, &inputs), 1, "a null output in parallel");
    expect(m_supported(0), 0, "a core without vectors");
    expect(m_supported(0xff), 1, "a core with vectors");
    for (size_t i = 0; i < outs; i++)
        for (size_t b = 0; b < batch * out_bytes[i]; b++)
            if (((unsigned char *)outputs[i])[b] != 0xcb)
                fail("an output was written in spite of an error");
}

int main(int argc, char **argv) {
    if (argc < 8)
        fail("too few arguments");
    struct sigaction action = {.sa_sigaction = fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, 0);
    sigaction(SIGBUS, &action, 0);
    const char *mode = argv[1];
    batch = strtoull(argv[2], 0, 10);
    workspace_bytes = strtoull(argv[3], 0, 10);
    ins = sizes(argv[4], in_bytes);
    outs = sizes(argv[5], out_bytes);
    inputs.batch = batch;
    for (size_t i = 0; i < ins; i++) {
        inputs.p[i] = guarded(batch * in_bytes[i], 4);
        FILE *f = fopen(argv[7 + i], "rb");
        if (!f || fread(inputs.p[i], 1, batch * in_bytes[i], f) != batch * in_bytes[i])
            fail("an input is short");
        fclose(f);
    }
    struct job a = {0}, b = {0};
    new_outputs(a.outputs);
    new_outputs(b.outputs);
    int parallel = !strcmp(mode, "parallel");
    char *workspace = guarded(workspace_bytes * (parallel ? 3 : 1), 64);
    if (!strcmp(mode, "errors")) {
        errors(a.outputs, workspace);
        puts(m_describe());
        return 0;
    }
    if (!strcmp(mode, "threads")) {
        pthread_t other;
        pthread_create(&other, 0, work, &a);
        work(&b);
        pthread_join(other, 0);
        expect(a.status | b.status, 0, "a thread");
        if (!same(a.outputs, b.outputs))
            fail("two threads differ");
    } else if (parallel) {
        expect(m_run_parallel(&inputs, a.outputs, workspace, 3, parallel_for, &inputs), 0, "m_run_parallel");
    } else if (!strcmp(mode, "divided")) {
        static void (*const orders[])(void *, size_t, task_fn, void *) = {backwards, inwards, parallel_for};
        expect(m_run(&inputs, b.outputs, workspace), 0, "m_run");
        for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
            memset(workspace, 0xcb, workspace_bytes);
            for (size_t k = 0; k < outs; k++)
                memset(a.outputs[k], 0xcb, batch * out_bytes[k]);
            expect(m_run_parallel(&inputs, a.outputs, workspace, 1, orders[i], &inputs), 0, "m_run_parallel");
            if (!same(a.outputs, b.outputs))
                fail("the order of the parts matters");
        }
    } else if (!strcmp(mode, "repeat") || !strcmp(mode, "million")) {
        int runs = *mode == 'm' ? 1000000 : 20000;
        expect(m_run(&inputs, b.outputs, workspace), 0, "m_run");
        for (int i = 0; i < runs; i++) {
            for (size_t k = 0; k < outs; k++)
                memset(a.outputs[k], 0xcb, batch * out_bytes[k]);
            expect(m_run(&inputs, a.outputs, workspace), 0, "m_run");
            if (!same(a.outputs, b.outputs))
                fail("results drift");
        }
    } else {
        struct arrays first = inputs;
        if (batch > 1)
            first.batch = 1;
        expect(m_run(&first, a.outputs, workspace), 0, "m_run");
        __asm__ volatile("hint #64" ::: "memory");
        int status = m_run(&first, a.outputs, workspace);
        __asm__ volatile("hint #80" ::: "memory");
        expect(status, 0, "m_run");
        /* What an earlier run left behind must not matter. */
        memset(workspace, 0xcb, workspace_bytes);
        expect(m_run(&inputs, a.outputs, workspace), 0, "m_run");
    }
    FILE *f = fopen(argv[6], "wb");
    for (size_t i = 0; i < outs; i++)
        if (!f || fwrite(a.outputs[i], 1, batch * out_bytes[i], f) != batch * out_bytes[i])
            fail("the output cannot be written");
    return f && fclose(f);
}
