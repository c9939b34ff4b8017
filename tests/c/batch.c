/* Runs many bundles, each in a process of its own: batch INPUTS OUTPUTS
 *
 * The bundles are listed in entries.h. INPUTS holds their inputs, OUTPUTS gets their outputs, one after the other in the
 * order of the list. For each a line is printed: its number, and "ok", "status N", "signal N", or "stuck". All memory lies
 * between pages that cannot be touched. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 64, SECONDS = 60 };
struct arrays {
    size_t batch;
    void *p[MOST];
};
struct entry {
    int (*run)(const void *inputs, void *outputs, void *workspace);
    size_t workspace, ins, outs;
    const size_t *bytes; /* of the inputs, then of the outputs */
};
#include "entries.h"

static void fail(const char *why) {
    fprintf(stderr, "batch: %s\n", why);
    exit(1);
}

/* Memory that ends at a guard page, with another one before it; filled so that forgotten zeros show. */
static void *guarded(size_t bytes, size_t align) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), inner = (bytes + page) / page * page;
    char *p = mmap(0, inner + 2 * page, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(p + page, inner, PROT_READ | PROT_WRITE))
        fail("no memory");
    memset(p + page, 0xcb, inner);
    return p + page + (inner - bytes) / align * align;
}

static void release(void *p, size_t bytes, size_t align) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), inner = (bytes + page) / page * page;
    munmap((char *)p - (inner - bytes) / align * align - page, inner + 2 * page);
}

static void one(size_t i, const struct entry *e, FILE *from, FILE *to) {
    struct arrays inputs = {.batch = 1};
    void *outputs[MOST];
    for (size_t k = 0; k < e->ins; k++) {
        inputs.p[k] = guarded(e->bytes[k], 8);
        if (fread(inputs.p[k], 1, e->bytes[k], from) != e->bytes[k])
            fail("an input is short");
    }
    for (size_t k = 0; k < e->outs; k++)
        outputs[k] = guarded(e->bytes[e->ins + k], 8);
    void *workspace = guarded(e->workspace, 64);
    fflush(0);
    pid_t child = fork();
    if (child < 0)
        fail("no process");
    if (!child) {
        alarm(SECONDS);
        _exit(e->run(&inputs, outputs, workspace));
    }
    int status;
    if (waitpid(child, &status, 0) != child)
        fail("a process was lost");
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        printf("%zu stuck\n", i);
    else if (WIFSIGNALED(status))
        printf("%zu signal %d\n", i, WTERMSIG(status));
    else if (WEXITSTATUS(status))
        printf("%zu status %d\n", i, WEXITSTATUS(status));
    else
        printf("%zu ok\n", i);
    for (size_t k = 0; k < e->outs; k++) {
        if (fwrite(outputs[k], 1, e->bytes[e->ins + k], to) != e->bytes[e->ins + k])
            fail("the outputs cannot be written");
        release(outputs[k], e->bytes[e->ins + k], 8);
    }
    for (size_t k = 0; k < e->ins; k++)
        release(inputs.p[k], e->bytes[k], 8);
    release(workspace, e->workspace, 64);
}

int main(int argc, char **argv) {
    if (argc != 3)
        fail("two files are wanted");
    FILE *from = fopen(argv[1], "rb"), *to = fopen(argv[2], "wb");
    if (!from || !to)
        fail("a file cannot be opened");
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
        one(i, &entries[i], from, to);
    return fclose(to);
}
