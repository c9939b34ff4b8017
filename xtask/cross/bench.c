/* Runs a bundle: outputs, time of a run, and where the time goes. Compiled with -DMODEL=NAME, -DHEADER="NAME.h"
 * and -DCORES=NAME_CORES.
 *
 * bench describe
 * bench run RUNS SECONDS WORKSPACE IN_BYTES,.. OUT_BYTES,.. OUTPUT INPUT..
 *
 * Sizes are of one sample, of which one is run. After a first run, RUNS runs are timed, each between HINT #64 and HINT #80
 * for the counting plugin: `time NANOSECONDS`. Then, where SECONDS are given, RUNS runs whose layers are divided among
 * threads: `together NANOSECONDS`; and for SECONDS, runs are interrupted about every millisecond to see which instruction
 * is at hand: `sample ADDRESS TIMES`. Outputs are written to the file OUTPUT one after the other. */
#define _GNU_SOURCE
#include HEADER

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define CALL(name) JOIN(MODEL, name)

enum { MOST = 32, SAMPLES = 1 << 20 };

/* The structures of the header: pointers one after the other, behind the batch for inputs. */
struct arrays {
    size_t batch;
    void *pointer[MOST];
};

static volatile uint64_t sample[SAMPLES];
static volatile sig_atomic_t samples;

static void on_alarm(int number, siginfo_t *info, void *context) {
    (void)number, (void)info;
    if (samples < SAMPLES) sample[samples++] = ((ucontext_t *)context)->uc_mcontext.pc;
}

static void fail(const char *why) {
    fprintf(stderr, "bench: %s\n", why);
    exit(1);
}

static void *memory(size_t bytes) {
    void *p = aligned_alloc(64, (bytes / 64 + 1) * 64);
    if (!p) fail("no memory");
    memset(p, 0xff, bytes);
    return p;
}

static size_t sizes(char *list, size_t *to) {
    size_t n = 0;
    for (char *s = strtok(list, ","); s && n < MOST; s = strtok(0, ",")) to[n++] = strtoull(s, 0, 10);
    return n;
}

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static struct arrays inputs = {.batch = 1};
static void *outputs[MOST];
static void *workspace;

static void once(void) {
    int status = CALL(_run)((const void *)&inputs, (void *)outputs, workspace);
    if (status) {
        fprintf(stderr, "bench: the bundle returned %d\n", status);
        exit(1);
    }
}

/* Threads that spin until there is a part for each: the fastest that waiting can be. */
static struct {
    void (*task)(void *, size_t);
    void *argument;
    size_t parts, round, left;
} work;

static void *worker(void *number) {
    const size_t i = (size_t)(uintptr_t)number;
    for (size_t round = 0;; round++) {
        while (__atomic_load_n(&work.round, __ATOMIC_ACQUIRE) == round) continue;
        if (!work.task) return 0;
        if (i < work.parts) work.task(work.argument, i);
        __atomic_fetch_sub(&work.left, 1, __ATOMIC_RELEASE);
    }
}

static void parallel_for(void *context, size_t n, void (*task)(void *, size_t), void *argument) {
    (void)context;
    if (n > CORES) fail("more parts than cores");
    work.task = task, work.argument = argument, work.parts = n, work.left = CORES - 1;
    __atomic_fetch_add(&work.round, 1, __ATOMIC_RELEASE);
    if (task) task(argument, 0);
    while (task && __atomic_load_n(&work.left, __ATOMIC_ACQUIRE)) continue;
}

static void together(void) {
    int status = CALL(_run_parallel)((const void *)&inputs, (void *)outputs, workspace, 1, parallel_for, 0);
    if (status) {
        fprintf(stderr, "bench: the bundle returned %d\n", status);
        exit(1);
    }
}

static int by_size(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void sampling(double duration) {
    struct sigaction action = {.sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO | SA_RESTART};
    /* Not a whole number of milliseconds, so as not to beat with the runs. */
    struct itimerval every = {.it_interval = {0, 997}, .it_value = {0, 997}}, never = {{0, 0}, {0, 0}};
    sigaction(SIGALRM, &action, 0);
    const double end = seconds() + duration;
    setitimer(ITIMER_REAL, &every, 0);
    while (seconds() < end) once();
    setitimer(ITIMER_REAL, &never, 0);
    uint64_t *sorted = (uint64_t *)(uintptr_t)sample;
    const size_t n = (size_t)samples;
    qsort(sorted, n, sizeof *sorted, by_size);
    for (size_t i = 0, j; i < n; i = j) {
        for (j = i; j < n && sorted[j] == sorted[i];) j++;
        printf("sample %#llx %zu\n", (unsigned long long)sorted[i], j - i);
    }
}

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "describe")) return puts(CALL(_describe)()) < 0;
    if (argc < 8) fail("too few arguments");
    if (!CALL(_supported)(getauxval(AT_HWCAP))) fail("this core lacks what the code needs");
    const int runs = atoi(argv[2]);
    const double duration = atof(argv[3]);
    workspace = memory(strtoull(argv[4], 0, 10));
    size_t in_bytes[MOST], out_bytes[MOST];
    const size_t ins = sizes(argv[5], in_bytes), outs = sizes(argv[6], out_bytes);
    if ((size_t)argc != 8 + ins) fail("not as many files as inputs");
    for (size_t i = 0; i < ins; i++) {
        inputs.pointer[i] = memory(in_bytes[i]);
        FILE *f = fopen(argv[8 + i], "rb");
        if (!f || fread(inputs.pointer[i], 1, in_bytes[i], f) != in_bytes[i]) fail("an input is short");
        fclose(f);
    }
    for (size_t i = 0; i < outs; i++) outputs[i] = memory(out_bytes[i]);
    once();
    for (int i = 0; i < runs; i++) {
        const double begin = seconds();
        __asm__ volatile("hint #64" ::: "memory");
        once();
        __asm__ volatile("hint #80" ::: "memory");
        printf("time %.0f\n", 1e9 * (seconds() - begin));
    }
    if (CORES > 1 && duration > 0) {
        pthread_t threads[CORES];
        for (size_t i = 1; i < CORES; i++)
            if (pthread_create(&threads[i], 0, worker, (void *)(uintptr_t)i)) fail("no threads");
        /* The first run waits for the threads to start. */
        for (int i = -1; i < runs; i++) {
            const double begin = seconds();
            together();
            if (i >= 0) printf("together %.0f\n", 1e9 * (seconds() - begin));
        }
        parallel_for(0, 0, 0, 0);
        for (size_t i = 1; i < CORES; i++) pthread_join(threads[i], 0);
    }
    if (duration > 0) sampling(duration);
    FILE *f = fopen(argv[7], "wb");
    for (size_t i = 0; i < outs; i++)
        if (!f || fwrite(outputs[i], 1, out_bytes[i], f) != out_bytes[i]) fail("the output cannot be written");
    return fclose(f) != 0;
}
