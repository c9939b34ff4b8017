//! The C header: C99 and C++17, nothing but declarations.

use std::fmt::Write;

use super::{About, shape, types};
use crate::emit::entry::ERRORS;
use crate::program::Port;

fn members(ports: &[(String, Port)], constant: &str) -> String {
    let one = |(field, p): &(String, Port)| {
        let ty = types(p.elem).0;
        format!("    {constant}{ty} *{field}; /* {} {} */\n", p.name.replace("*/", ""), shape(p))
    };
    ports.iter().map(one).collect()
}

/// `NAME.h`.
pub fn header(a: &About) -> String {
    let (n, u) = (&a.name, a.name.to_uppercase());
    let mut sizes = String::new();
    for (word, ports) in [("INPUT", &a.inputs), ("OUTPUT", &a.outputs)] {
        for (field, p) in ports {
            let count: usize = p.dims.iter().product();
            let _ = writeln!(sizes, "#define {u}_{word}_{}_SIZE ((size_t){count})", field.to_uppercase());
        }
    }
    let errors: String =
        ERRORS.iter().map(|(e, v, why)| format!("    {u}_{e} = {v}, /* {why} */\n")).collect();
    let errors = errors.replacen(", /* the batch", " /* the batch", 1);
    let batch = match a.batched {
        true => "number of samples; arrays hold them one after the other",
        false => "must be 1",
    };
    format!(
        "/* {n}: made by secateur {version} for {target} ({core}). Do not edit.
 *
 * Link {n}.o or lib{n}.a. The code allocates nothing, keeps no state and calls nothing: any number of threads may run
 * at once, each with a workspace of its own. */
#ifndef SECATEUR_{u}_H
#define SECATEUR_{u}_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern \"C\" {{
#endif

#define {u}_VERSION \"secateur {version}\"
#define {u}_TARGET \"{target}\"
#define {u}_CORE \"{core}\"
/* Cores that one sample can run on at once. */
#define {u}_CORES {cores}

/* The workspace: its size in bytes, and what its address must be a multiple of. */
#define {u}_WORKSPACE_BYTES ((size_t){workspace})
#define {u}_WORKSPACE_ALIGN 64

/* Elements of one sample. */
{sizes}
typedef struct {n}_inputs {{
    size_t batch; /* {batch} */
{ins}}} {n}_inputs;

typedef struct {n}_outputs {{
{outs}}} {n}_outputs;

enum {n}_status {{
{errors}}};

/* Runs the network. Returns {u}_OK or what is wrong, in which case nothing was written. */
int {n}_run(const {n}_inputs *inputs, {n}_outputs *outputs, void *workspace);

/* Calls task(argument, i) for every i below n, on any threads, and returns when all are done. */
typedef void (*{n}_parallel_for)(void *context, size_t n, void (*task)(void *argument, size_t i), void *argument);

/* Runs the samples of a batch on the caller's threads: `count` workspaces of {u}_WORKSPACE_BYTES each, one after the
 * other, are used by as many tasks. With a count of 1
 * {division}. Results are those of {n}_run. */
int {n}_run_parallel(const {n}_inputs *inputs, {n}_outputs *outputs, void *workspaces, size_t count,
                     {n}_parallel_for parallel_for, void *context);

/* Names, shapes, types, workspace, compiler version and target, as JSON. */
const char *{n}_describe(void);

/* Whether a core can run this, by what getauxval(AT_HWCAP) says of it. */
int {n}_supported(unsigned long hwcap);

#ifdef __cplusplus
}}
#endif

#endif
",
        division = match a.cores {
            1 => "samples run one after the other, each on one thread".into(),
            cores => format!("every layer of a sample is divided among up to {cores} tasks"),
        },
        version = a.version,
        target = a.target,
        core = a.core,
        cores = a.cores,
        workspace = a.workspace,
        ins = members(&a.inputs, "const "),
        outs = members(&a.outputs, ""),
    )
}
